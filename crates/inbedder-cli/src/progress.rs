//! Progress and notes on standard error: a bar on a terminal, plain lines elsewhere.

use inbedder::source::FetchProgress;
use inbedder::{Progress, Stats};
use inbedder_train::{StepRecord, ValidationRecord, Watch};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tracing::Level;

/// How often a plain line is written.
const LINE_EVERY: Duration = Duration::from_secs(10);

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Notes go to standard error: warnings when quiet (-1), what is done at 0, details at 1.
pub(crate) fn start_log(verbosity: i8) {
    let level = match verbosity {
        ..0 => Level::WARN,
        0 => Level::INFO,
        1.. => Level::DEBUG,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .without_time()
        .init();
}

/// From now on Ctrl-C is a wish to stop, seen by [`interrupted`]; a second one ends the process.
pub(crate) fn catch_interrupts() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        let caught = ctrlc::set_handler(|| {
            if INTERRUPTED.swap(true, Ordering::SeqCst) {
                std::process::exit(130);
            }
        });
        if let Err(cause) = caught {
            tracing::debug!("Ctrl-C will end the process at once: {cause}");
        }
    });
}

pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// Where bars are drawn: on a terminal.
fn target(quiet: bool) -> ProgressDrawTarget {
    match quiet || !std::io::stderr().is_terminal() {
        true => ProgressDrawTarget::hidden(),
        false => ProgressDrawTarget::stderr(),
    }
}

/// Progress of a run over a known number of texts.
pub(crate) struct Bar {
    bar: ProgressBar,
    total: u64,
    tokens: AtomicU64,
    start: Instant,
    /// Seconds after `start` at which the last plain line was written.
    lined: AtomicU64,
    lines: bool,
}

impl Bar {
    pub(crate) fn new(total: u64, quiet: bool) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total), target(quiet));
        // The template is a constant that parses.
        if let Ok(style) = ProgressStyle::with_template(
            "{wide_bar} {pos}/{len} texts · {per_sec} · {msg} · {eta} left",
        ) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self {
            bar,
            total,
            tokens: AtomicU64::new(0),
            start: Instant::now(),
            lined: AtomicU64::new(0),
            lines: !quiet && !std::io::stderr().is_terminal(),
        }
    }

    /// Texts that were done before.
    pub(crate) fn skip(&self, texts: usize) {
        self.bar.inc(texts as u64);
        self.bar.reset_eta();
    }

    /// Ends the bar without a word.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }

    /// Ends the bar and says what was done.
    pub(crate) fn finish(&self, what: &str, stats: &Stats) {
        self.bar.finish_and_clear();
        let seconds = self.start.elapsed().as_secs_f64();
        let read = stats.read_tokens + stats.answer_tokens;
        tracing::info!(
            "{} texts, {} prompts {what} in {seconds:.2} s: {:.0} tokens/s read ({} distinct of {}), {:.1} texts/s",
            stats.texts,
            stats.prompts,
            read as f64 / seconds,
            stats.read_tokens,
            stats.prompt_tokens,
            stats.texts as f64 / seconds,
        );
        if stats.truncated > 0 {
            tracing::warn!(
                "{} of {} prompts were longer than --max-tokens and were cut",
                stats.truncated,
                stats.prompts
            );
        }
    }

    fn line(&self) {
        let (seconds, last) = (
            self.start.elapsed().as_secs(),
            self.lined.load(Ordering::Relaxed),
        );
        if seconds < last + LINE_EVERY.as_secs() {
            return;
        }
        let ours = self
            .lined
            .compare_exchange(last, seconds, Ordering::Relaxed, Ordering::Relaxed);
        if ours.is_ok() {
            let (done, tokens) = (self.bar.position(), self.tokens.load(Ordering::Relaxed));
            let left = (seconds * self.total.saturating_sub(done)).checked_div(done);
            let left = left.map_or("?".to_string(), |left| left.to_string());
            tracing::info!(
                "{done}/{} texts, {} tokens/s, {left} s left",
                self.total,
                tokens / seconds.max(1)
            );
        }
    }
}

impl Progress for Bar {
    fn advance(&self, texts: usize, tokens: usize) -> bool {
        if texts + tokens > 0 {
            self.bar.inc(texts as u64);
            let tokens = self.tokens.fetch_add(tokens as u64, Ordering::Relaxed) + tokens as u64;
            self.bar.set_message(format!(
                "{:.0} tokens/s",
                tokens as f64 / self.start.elapsed().as_secs_f64()
            ));
        }
        if self.lines {
            self.line();
        }
        !interrupted()
    }
}

/// Progress of training.
pub(crate) struct TrainBar {
    bar: ProgressBar,
    lines: bool,
    start: Instant,
    lined: AtomicU64,
    /// What the last look at held-out texts found.
    validation: Mutex<String>,
}

impl TrainBar {
    pub(crate) fn new(quiet: bool) -> Self {
        let bar = ProgressBar::with_draw_target(None, target(quiet));
        if let Ok(style) =
            ProgressStyle::with_template("{wide_bar} {pos}/{len} steps · {msg} · {eta} left")
        {
            bar.set_style(style);
        }
        Self {
            bar,
            lines: !quiet && !std::io::stderr().is_terminal(),
            start: Instant::now(),
            lined: AtomicU64::new(0),
            validation: Mutex::new(String::new()),
        }
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Watch for TrainBar {
    fn begin(&self, step: u64, steps: u64) {
        self.bar.set_length(steps);
        self.bar.set_position(step);
        self.bar.reset_eta();
    }

    fn step(&self, record: &StepRecord) {
        self.bar.set_position(record.step);
        let message = format!(
            "loss {:.3}{} · {:.0} tokens/s",
            record.loss,
            self.validation
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
            record.tokens_per_second
        );
        let seconds = self.start.elapsed().as_secs();
        if self.lines && seconds >= self.lined.load(Ordering::Relaxed) + LINE_EVERY.as_secs() {
            self.lined.store(seconds, Ordering::Relaxed);
            let (steps, left) = (self.bar.length().unwrap_or(0), self.bar.eta().as_secs());
            tracing::info!("{}/{steps} steps, {message}, {left} s left", record.step);
        }
        self.bar.set_message(message);
    }

    fn validated(&self, record: &ValidationRecord) {
        let Some(loss) = record.validation_loss else {
            return;
        };
        let right = record
            .exact_match
            .map(|share| format!(", {:.1} % right", 100.0 * share));
        let found = format!("{loss:.3}{}", right.unwrap_or_default());
        self.bar
            .suspend(|| tracing::info!("step {}: held-out loss {found}", record.step));
        *self
            .validation
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = format!(" (held-out {found})");
    }

    fn stop(&self) -> bool {
        interrupted()
    }
}

/// Progress of a download.
pub(crate) struct FetchBar(ProgressBar);

impl FetchBar {
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, target(false));
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {bytes}") {
            bar.set_style(style);
        }
        Self(bar)
    }
}

impl FetchProgress for FetchBar {
    fn message(&self, text: &str) {
        tracing::info!("{text}");
        self.0.set_message(text.to_string());
    }

    fn advance(&self, done: u64, _total: u64) -> bool {
        self.0.set_position(done);
        self.0.tick();
        !interrupted()
    }
}

impl Drop for FetchBar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
