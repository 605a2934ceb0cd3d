//! How much a build does for a module's size and speed.

/// What a module is built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// To be shipped: everything is done.
    Release,
    /// To be tried while it is written: what takes a moment is done.
    Quick,
}

impl Effort {
    /// Cargo's profile, and its folder.
    pub(crate) fn profile(self) -> &'static str {
        match self {
            Effort::Release => "release",
            Effort::Quick => "portcullis-dev",
        }
    }

    /// What cargo is told beside the profile: the quick one is the project's own release, without what takes long.
    pub(crate) fn cargo_arguments(self) -> &'static [&'static str] {
        match self {
            Effort::Release => &[],
            Effort::Quick => &[
                "--config",
                "profile.portcullis-dev.inherits=\"release\"",
                "--config",
                "profile.portcullis-dev.lto=\"off\"",
                "--config",
                "profile.portcullis-dev.codegen-units=16",
                "--config",
                "profile.portcullis-dev.incremental=true",
                "--config",
                "profile.portcullis-dev.strip=\"debuginfo\"",
            ],
        }
    }
}
