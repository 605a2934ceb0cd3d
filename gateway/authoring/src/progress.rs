//! What an author sees while something takes longer than a moment.

use std::io::{IsTerminal as _, Write as _};
use std::time::Instant;

/// Lines on standard error, each with the time since the command began; the results go to standard output.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    begun: Instant,
    detail: Detail,
}

#[derive(Clone, Copy, Debug)]
enum Detail {
    Shown,
    Hidden,
}

impl Progress {
    /// Shown on standard error.
    pub fn shown() -> Self {
        Progress { begun: Instant::now(), detail: Detail::Shown }
    }

    /// Told to nobody.
    pub fn hidden() -> Self {
        Progress { begun: Instant::now(), detail: Detail::Hidden }
    }

    /// What is being done now.
    pub fn say(&self, what: &str) {
        if let Detail::Shown = self.detail {
            let seconds = self.begun.elapsed().as_secs_f32();
            // Who has closed standard error does not want to know.
            let _ = writeln!(std::io::stderr(), "{seconds:>6.1}s  {what}");
        }
    }

    /// Whether programs that are started may write to the author's terminal.
    pub(crate) fn is_shown(&self) -> bool {
        matches!(self.detail, Detail::Shown)
    }

    /// Whether an author is watching, and not a log file.
    pub(crate) fn is_watched(&self) -> bool {
        self.is_shown() && std::io::stderr().is_terminal()
    }
}
