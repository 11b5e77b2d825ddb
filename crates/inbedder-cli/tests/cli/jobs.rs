//! Long jobs: stopped at any moment and gone on with, and rows that cannot be read.

use crate::support::{Dir, QUESTION, Ran};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use std::process::Stdio;
use std::time::Duration;

/// Many questions make a window of few texts, and so a job of many parts.
const QUESTIONS: usize = 32;

fn job<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec![
        "embed",
        "in.txt",
        "--questions-file",
        "questions.txt",
        "-o",
        out,
    ];
    args.extend(["--answers", "--max-new-tokens", "2"]);
    args.extend(more);
    args
}

fn dir(texts: usize) -> Dir {
    let dir = Dir::new();
    let lines = |n: usize, what: &str| (0..n).map(|i| format!("{what} {i}\n")).collect::<String>();
    dir.file("in.txt", lines(texts, "text number"))
        .file("questions.txt", lines(QUESTIONS, "Who is"));
    dir
}

#[test]
fn a_job_that_is_killed_again_and_again_ends_as_if_it_had_not_been() {
    for out in ["out.parquet", "out.jsonl"] {
        let dir = dir(400);
        dir.run(&job("whole.parquet", &[])).ok();
        dir.run(&job("whole.jsonl", &[])).ok();
        let whole = std::fs::read(dir.path(&out.replace("out", "whole"))).unwrap();
        let mut random = 0x9e37_79b9_u64;
        let mut kept = 0;
        for round in 0..20 {
            let mut child = dir
                .command(&job(out, &["--resume"]))
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            // Later kills come later, so that a slow machine too gets somewhere.
            std::thread::sleep(Duration::from_millis((random >> 40 & 0xff) + 40 * round));
            child.kill().unwrap();
            child.wait().unwrap();
            let parts = std::fs::read_dir(dir.path(&format!("{out}.parts")));
            kept = kept.max(parts.map_or(0, Iterator::count));
        }
        dir.run(&job(out, &["--resume"])).ok();
        assert!(kept > 1, "some kill found a job with finished parts");
        let resumed = std::fs::read(dir.path(out)).unwrap();
        assert!(resumed == whole, "{out} is another file than without kills");
        let left: Vec<_> = dir
            .names()
            .into_iter()
            .filter(|name| name.contains("part"))
            .collect();
        assert!(
            left.iter().all(|name| name.ends_with(".parquet")),
            "{left:?}"
        );
        // And once more: everything is there.
        let again = dir.run(&job(out, &["--resume"])).ok();
        assert!(
            again.stderr().contains("nothing is left to do"),
            "{}",
            again.stderr()
        );
    }
}

#[test]
fn parts_of_another_job_or_input_are_refused() {
    let dir = dir(70);
    interrupted(&dir);
    dir.run(&job("out.jsonl", &["--resume", "--layer", "1"]))
        .fails(2, &["out.jsonl.parts", "layer 2 there, 1 here", "--force"]);
    let changed = std::fs::read_to_string(dir.path("in.txt")).unwrap();
    dir.file(
        "in.txt",
        changed.replacen("text number 0", "something else", 1),
    );
    dir.run(&job("out.jsonl", &["--resume"]))
        .fails(2, &["00000000.safetensors", "input has changed", "--force"]);
    dir.run(&job("out.jsonl", &["--resume", "--force"])).ok();
    dir.run(&job("whole.jsonl", &[])).ok();
    let read = |name: &str| std::fs::read(dir.path(name)).unwrap();
    assert!(read("out.jsonl") == read("whole.jsonl"));
}

#[test]
fn a_damaged_part_is_made_again() {
    // Cut off, and with one bit that fell over: in an answer, in a vector.
    let damages: [fn(&mut Vec<u8>); 3] = [
        |bytes| bytes.truncate(bytes.len() / 2),
        |bytes| {
            let answers = b"\\\",\\\"";
            let at = bytes.windows(answers.len()).position(|w| w == answers);
            let at = at.unwrap() - 1;
            bytes[at] ^= 1;
        },
        |bytes| *bytes.last_mut().unwrap() ^= 1,
    ];
    let dir = dir(70);
    dir.run(&job("whole.jsonl", &[])).ok();
    for damage in damages {
        interrupted(&dir);
        let part = dir.path("out.jsonl.parts/00000000.safetensors");
        let mut bytes = std::fs::read(&part).unwrap();
        damage(&mut bytes);
        std::fs::write(&part, bytes).unwrap();
        dir.run(&job("out.jsonl", &["--resume"])).ok();
        let read = |name: &str| std::fs::read(dir.path(name)).unwrap();
        assert!(read("out.jsonl") == read("whole.jsonl"));
        std::fs::remove_file(dir.path("out.jsonl")).unwrap();
    }
}

/// Leaves a job with at least one finished part.
#[track_caller]
fn interrupted(dir: &Dir) {
    let mut child = dir
        .command(&job("out.jsonl", &["--resume"]))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let first = dir.path("out.jsonl.parts/00000000.safetensors");
    while !first.exists() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        first.exists() && !dir.path("out.jsonl").exists(),
        "stopped in the middle"
    );
}

/// The most memory that a command had, in KiB, as the kernel counts it.
#[cfg(target_os = "linux")]
fn peak(mut command: std::process::Command) -> u64 {
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    // The mark only rises, but it is gone with the process.
    while child.try_wait().unwrap().is_none() {
        let status = std::fs::read_to_string(&status).unwrap_or_default();
        let mark = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let mark = mark.and_then(|mark| mark.trim().trim_end_matches(" kB").parse().ok());
        most = mark.unwrap_or(most);
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(child.wait().unwrap().success());
    most
}

/// One layer of the tiny model, so that most of the time is input, prompts and output.
#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_input() {
    const WORDS: [&str; 16] = [
        "mat", "sat", "we", "on", "sea", "big", "red", "ran", "the", "cat", "dog", "hat", "in",
        "is", "old", "sun",
    ];
    let dir = Dir::new();
    let line = |i: usize| {
        let i = i.wrapping_mul(2_654_435_761);
        let word = |shift: usize| WORDS[i >> shift & 15];
        let words = [8, 12, 16, 20, 24].map(word);
        words.join(" ") + "\n"
    };
    dir.file("in.txt", (0..1_000_000).map(line).collect::<String>());
    for (out, texts) in [("out.parquet", "1000000"), ("out.jsonl", "200000")] {
        let of = |texts: &str| {
            let args = ["embed", "in.txt", "--limit", texts, "-q", "?", "-o", out];
            peak(dir.command(&[&args[..], &["--layer", "1", "--force"]].concat()))
        };
        // A short run may end between two looks at it.
        let few = (0..3).map(|_| of("10000")).max().unwrap();
        let many = of(texts);
        assert!(
            many * 10 <= few * 11,
            "{out}: {many} KiB for {texts} lines, {few} KiB for ten thousand"
        );
    }
}

#[test]
fn rows_that_cannot_be_read_are_written_down_and_passed_over() {
    let dir = Dir::new();
    dir.file(
        "in.jsonl",
        b"{\"text\": \"one\"}\n{broken\n{\"text\": 3}\n{\"other\": \"x\"}\n{\"text\": \"\xff\"}\n[1]\n{\"text\": \"two\"}\n",
    )
    .file("in.csv", "text,n\none,1\ntwo\nthree,3\n");
    let lines = |name: &str| -> Vec<Value> {
        let text = std::fs::read_to_string(dir.path(name)).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let skip =
        |input: &str, out: &str| -> Ran { dir.embed(input, out, &["--on-error", "skip"]).ok() };
    let said = skip("in.jsonl", "out.jsonl").stderr();
    assert!(
        said.contains("5 rows") && said.contains("out.jsonl.errors.jsonl"),
        "{said}"
    );
    let texts: Vec<_> = lines("out.jsonl")
        .iter()
        .map(|row| row["text"].clone())
        .collect();
    assert_eq!(texts, ["one", "two"]);
    let rejects = lines("out.jsonl.errors.jsonl");
    let numbers: Vec<_> = rejects
        .iter()
        .map(|row| row["line"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, [2, 3, 4, 5, 6]);
    for (reject, reason) in
        rejects
            .iter()
            .zip(["broken JSON", "no string", "no field", "UTF-8", "no object"])
    {
        assert!(
            reject["reason"].as_str().unwrap().contains(reason),
            "{reject}"
        );
    }
    skip("in.csv", "table.jsonl");
    assert_eq!(lines("table.jsonl").len(), 2);
    assert_eq!(lines("table.jsonl.errors.jsonl")[0]["line"], 3);
    // Without the wish, the first of them is the end, and nothing is left.
    dir.embed("in.jsonl", "stopped.jsonl", &[])
        .fails(2, &["in.jsonl:2", "broken JSON"]);
    assert!(!dir.path("stopped.jsonl.errors.jsonl").exists());
    dir.run(&[
        "embed",
        "in.jsonl",
        "-q",
        QUESTION,
        "-o",
        "x.npy",
        "--on-error",
        "guess",
    ])
    .fails(2, &["stop", "skip"]);
}

/// The rows of an output as JSON, from either format.
fn rows(dir: &Dir, name: &str) -> Vec<Value> {
    let jsonl = if name.ends_with(".parquet") {
        let file = std::fs::File::open(dir.path(name)).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file)
            .unwrap()
            .build()
            .unwrap();
        let mut writer = arrow_json::LineDelimitedWriter::new(Vec::new());
        reader.for_each(|batch| writer.write(&batch.unwrap()).unwrap());
        writer.finish().unwrap();
        String::from_utf8(writer.into_inner()).unwrap()
    } else {
        std::fs::read_to_string(dir.path(name)).unwrap()
    };
    jsonl
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn shared(out: &str) -> (Dir, Vec<String>) {
    let dir = Dir::new();
    // Seven texts and an empty line, which is none.
    dir.file("in.txt", "a\nb\n\nc\nd\ne\nf\ng\n");
    let part = |i: usize| out.replace("out", &format!("part{i}"));
    for i in 1..=3 {
        let shard = format!("{i}/3");
        dir.embed("in.txt", &part(i), &["-q", "Who?", "--shard", &shard])
            .ok();
    }
    (dir, (1..=3).map(part).collect())
}

#[test]
fn parts_of_a_shared_job_join_to_the_whole() {
    for out in ["out.parquet", "out.jsonl", "out.jsonl.zst"] {
        let (dir, parts) = shared(out);
        let names: Vec<&str> = parts.iter().rev().map(String::as_str).collect();
        dir.run(&[&["merge"], &names[..], &["-o", out]].concat())
            .ok();
        let whole = out.replace("out", "whole");
        dir.embed("in.txt", &whole, &["-q", "Who?"]).ok();
        if out.ends_with("zst") {
            let read = |name: &str| {
                zstd::decode_all(std::fs::File::open(dir.path(name)).unwrap()).unwrap()
            };
            assert!(read(out) == read(&whole));
        } else {
            assert_eq!(rows(&dir, out).len(), 14);
            assert_eq!(rows(&dir, out), rows(&dir, &whole), "{out}");
        }
        if out.contains("jsonl") {
            let meta = |name: &str| std::fs::read(dir.path(&format!("{name}.meta.json"))).unwrap();
            assert_eq!(meta(out), meta(&whole));
        }
    }
}

/// Each part alone would take its numbers for whole ones.
#[test]
fn columns_have_the_types_of_the_whole_input_in_every_part() {
    let dir = Dir::new();
    dir.file(
        "in.jsonl",
        "{\"text\": \"a\", \"n\": 1}\n{\"text\": \"b\", \"n\": \"two\"}\n{\"text\": \"c\", \"n\": 3}\n",
    );
    for (out, shard) in [("1.parquet", "1/2"), ("2.parquet", "2/2")] {
        dir.embed("in.jsonl", out, &["--shard", shard]).ok();
    }
    dir.run(&["merge", "1.parquet", "2.parquet", "-o", "out.parquet"])
        .ok();
    dir.embed("in.jsonl", "whole.parquet", &[]).ok();
    assert_eq!(rows(&dir, "out.parquet"), rows(&dir, "whole.parquet"));
}

#[test]
fn parts_that_do_not_make_a_whole_are_refused() {
    for out in ["out.parquet", "out.jsonl"] {
        let (dir, parts) = shared(out);
        let other = out.replace("out", "other");
        let merge = |names: &[&str]| dir.run(&[&["merge"], names, &["-o", out]].concat());
        let [first, second, third] = [&*parts[0], &*parts[1], &*parts[2]];
        merge(&[first, third]).fails(2, &["part 2/3 is missing", "--shard 2/3"]);
        merge(&[first, second, second]).fails(2, &[second, "part 2 again"]);
        let shard = |more: &[&str]| dir.embed("in.txt", &other, more).ok();
        shard(&["-q", "Who?"]);
        merge(&[first, &other]).fails(2, &[&*other, "not made with --shard"]);
        shard(&["-q", "Why?", "--shard", "2/3", "--force"]);
        merge(&[first, &other, third]).fails(2, &[&*other, "instructions", "another job"]);
        shard(&["-q", "Who?", "--shard", "2/3", "--limit", "2", "--force"]);
        merge(&[first, &other, third]).fails(2, &["more or fewer rows"]);
        shard(&["-q", "Who?", "--shard", "2/4", "--force"]);
        merge(&[first, &other, third]).fails(2, &[&*other, "one of 4 parts"]);
        merge(&[first, "nowhere.parquet"]).fails(2, &["nowhere"]);
        assert!(!dir.path(out).exists());
    }
    let dir = Dir::new();
    dir.run(&["merge", "a.npy", "-o", "b.npy"])
        .fails(2, &["b.npy", ".parquet"]);
    dir.file("in.txt", "a\n");
    for wrong in ["0/2", "3/2", "x", "1/0"] {
        dir.embed("in.txt", "x.npy", &["--shard", wrong])
            .fails(2, &["I/N"]);
    }
}
