//! `inbedder bench`: the speed of embedding on this machine, and how near to the chip's it comes.

use super::{load, questions};
use crate::args::{BenchArgs, InputArgs};
use crate::error::{Error, Result};
use crate::input::Input;
use crate::progress::Bar;
use inbedder::{Embedder, Isa, Precision, Request, Stats};
use inbedder_kernels::peak_operations;
use serde_json::json;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// Measuring time of a peak: long enough for the clock to rise.
const PEAK: Duration = Duration::from_millis(400);
/// Texts and words of the built-in input: prompts of about 120 tokens.
const TEXTS: usize = 64;
const WORDS: usize = 100;

pub(crate) fn run(args: &BenchArgs) -> Result<()> {
    if args.peak {
        return print_peaks(args);
    }
    let mut asked = questions(&args.run)?;
    if asked.is_empty() {
        asked.push("What is it about?".to_string());
    }
    let mut request = args.run.request(asked);
    request.answer_tokens = args.answers.then_some(args.run.max_new_tokens);
    let texts = match &args.input {
        Some(path) => texts_of(path, args)?,
        None => built_in_texts(args.limit.unwrap_or(TEXTS)),
    };
    let start = Instant::now();
    let embedder = load(&args.run, &mut request)?;
    let loaded = start.elapsed().as_secs_f64();
    let rounds = rounds(&embedder, &texts, &request, args.rounds)?;
    let report = Report::new(&embedder, rounds, request.questions.len(), loaded)?;
    print(&if args.json {
        report.json().to_string() + "\n"
    } else {
        report.table()
    })
}

fn texts_of(path: &Path, args: &BenchArgs) -> Result<Vec<String>> {
    let input = Input::open(
        &InputArgs {
            input: path.to_path_buf(),
            text_field: args.text_field.clone(),
            input_format: None,
            limit: args.limit,
        },
        None,
        None,
    )?;
    let mut texts = Vec::with_capacity(input.rows);
    for window in input.windows(1024)? {
        texts.extend(window?.texts);
    }
    Ok(texts)
}

/// Texts of common words that share no beginnings.
fn built_in_texts(count: usize) -> Vec<String> {
    const COMMON: [&str; 16] = [
        "the", "harbour", "was", "closed", "after", "a", "storm", "and", "nobody", "came", "to",
        "see", "ships", "in", "old", "town",
    ];
    let word = |i: usize| COMMON[(i.wrapping_mul(2_654_435_761) >> 7) % COMMON.len()];
    let text = |i: usize| {
        let words = (0..WORDS).map(|j| word(i * WORDS + j));
        words.collect::<Vec<_>>().join(" ")
    };
    (0..count).map(text).collect()
}

/// Seconds of each round, and what one round read; a round before the first warms up.
fn rounds(
    embedder: &Embedder,
    texts: &[String],
    request: &Request,
    count: u64,
) -> Result<(Vec<f64>, Stats)> {
    let bar = Bar::new(texts.len() as u64, true);
    let mut seconds = Vec::new();
    let mut stats = embedder.run(texts, request, &bar)?.stats;
    for _ in 0..count {
        let start = Instant::now();
        stats = embedder.run(texts, request, &bar)?.stats;
        seconds.push(start.elapsed().as_secs_f64());
    }
    Ok((seconds, stats))
}

struct Report {
    precision: Precision,
    isa: Isa,
    threads: usize,
    questions: usize,
    loaded: f64,
    seconds: Vec<f64>,
    stats: Stats,
    /// Multiplications and additions of a round in the linear layers; `None` where answers are part
    /// of it.
    operations: Option<f64>,
    /// The same per second that the cores could do at most.
    peak: f64,
}

impl Report {
    fn new(
        embedder: &Embedder,
        (seconds, stats): (Vec<f64>, Stats),
        questions: usize,
        loaded: f64,
    ) -> Result<Self> {
        let info = embedder.info();
        Ok(Self {
            precision: info.precision,
            isa: info.instruction_set,
            threads: info.threads,
            questions,
            loaded,
            operations: (stats.answer_tokens == 0).then(|| embedder.linear_operations(&stats)),
            seconds,
            stats,
            peak: peak_operations(info.instruction_set, info.precision, info.threads, PEAK),
        })
    }

    fn best(&self) -> f64 {
        self.seconds.iter().copied().fold(f64::INFINITY, f64::min)
    }

    fn median(&self) -> f64 {
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        if sorted.len().is_multiple_of(2) {
            (sorted[middle - 1] + sorted[middle]) / 2.0
        } else {
            sorted[middle]
        }
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "precision": self.precision.to_string(),
            "instruction_set": self.isa.to_string(),
            "threads": self.threads,
            "questions": self.questions,
            "load_seconds": self.loaded,
            "seconds": self.seconds,
            "stats": self.stats,
            "operations": self.operations,
            "peak_operations_per_second": self.peak,
        })
    }

    fn table(&self) -> String {
        let stats = &self.stats;
        let mut out = format!(
            "{} on {}, {} threads: {} texts, {} prompts of {:.0} tokens on average\n\n\
             {:>24} {:>10} {:>10}\n",
            self.precision,
            self.isa,
            self.threads,
            stats.texts,
            stats.prompts,
            stats.prompt_tokens as f64 / stats.prompts.max(1) as f64,
            "",
            "median",
            "best",
        );
        let mut line = |what: &str, of: &dyn Fn(f64) -> String| {
            let (median, best) = (of(self.median()), of(self.best()));
            out.push_str(&format!("{what:>24} {median:>10} {best:>10}\n"));
        };
        let rate = |count: usize| move |seconds: f64| format!("{:.0}", count as f64 / seconds);
        line("seconds", &|seconds| format!("{seconds:.3}"));
        line("prompt tokens/s", &rate(stats.prompt_tokens));
        line(
            "distinct tokens/s",
            &rate(stats.read_tokens + stats.answer_tokens),
        );
        line("texts/s", &|s| format!("{:.1}", stats.texts as f64 / s));
        if let Some(operations) = self.operations {
            line("of the chip's peak", &|seconds| {
                format!("{:.0} %", 100.0 * operations / seconds / self.peak)
            });
        }
        out
    }
}

fn print_peaks(args: &BenchArgs) -> Result<()> {
    let isa = Isa::detect().map_err(inbedder::Error::InstructionSet)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = match args.run.threads {
        0 => cores,
        threads => threads,
    };
    let mut out = String::new();
    for precision in [Precision::F32, Precision::Bf16, Precision::Int8] {
        let peak = peak_operations(isa, precision, threads, PEAK);
        out.push_str(&if args.json {
            let line = json!({
                "precision": precision.to_string(),
                "instruction_set": isa.to_string(),
                "threads": threads,
                "peak_operations_per_second": peak,
            });
            format!("{line}\n")
        } else {
            let giga = peak / 1e9;
            format!("{precision:>5} on {isa}, {threads} threads: {giga:6.0} G operations/s\n")
        });
    }
    print(&out)
}

fn print(text: &str) -> Result<()> {
    let mut stdout = anstream::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(Error::Stdout)
}
