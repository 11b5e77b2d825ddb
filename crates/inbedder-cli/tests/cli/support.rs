//! Runs the command in a folder of its own; failures print the command and both streams.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

pub(crate) const QUESTION: &str = "What is it about?";

/// A tiny random model in Hugging Face's layout.
pub(crate) fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/llama/gqa_tied")
}

/// A folder to run in.
pub(crate) struct Dir(pub(crate) TempDir);

impl Dir {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        std::fs::write(self.path(name), content).unwrap();
        self
    }

    /// Names in the folder, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> = entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_inbedder"));
        command.args(args).current_dir(self.0.path());
        if matches!(
            args.first(),
            Some(&("embed" | "ask" | "compare" | "cluster" | "eval" | "check" | "train"))
        ) && !args.contains(&"--model")
            && args.get(1) != Some(&"plot")
        {
            command.arg("--model").arg(model());
        }
        command
            .env("INBEDDER_HOME", self.path("home"))
            .env_remove("NO_COLOR");
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.run_with(args, "")
    }

    pub(crate) fn run_with(&self, args: &[&str], stdin: &str) -> Ran {
        use std::io::Write;
        let mut command = self.command(args);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(stdin.as_bytes())
            .unwrap();
        Ran {
            what: format!("{command:?}"),
            output: child.wait_with_output().unwrap(),
        }
    }

    /// Embeds `input` into `out` under [`QUESTION`].
    pub(crate) fn embed(&self, input: &str, out: &str, more: &[&str]) -> Ran {
        self.run(&[&["embed", input, "-q", QUESTION, "-o", out], more].concat())
    }
}

/// A command that has ended.
pub(crate) struct Ran {
    pub(crate) what: String,
    pub(crate) output: Output,
}

impl Ran {
    pub(crate) fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    fn report(&self) -> String {
        format!(
            "{}\n{}\n--- stdout\n{}\n--- stderr\n{}",
            self.what,
            self.output.status,
            self.stdout(),
            self.stderr()
        )
    }

    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert!(self.output.status.success(), "{}", self.report());
        self
    }

    /// It failed with this status, saying all of these, and panicked nowhere.
    #[track_caller]
    pub(crate) fn fails(self, status: i32, parts: &[&str]) -> Self {
        assert_eq!(self.output.status.code(), Some(status), "{}", self.report());
        for part in parts {
            assert!(
                self.stderr().contains(part),
                "{part:?} is missing:\n{}",
                self.report()
            );
        }
        assert!(!self.stderr().contains("panicked"), "{}", self.report());
        self
    }

    /// JSON lines on standard output.
    #[track_caller]
    pub(crate) fn lines(&self) -> Vec<serde_json::Value> {
        let parse =
            |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        self.stdout().lines().map(parse).collect()
    }
}
