//! Lines for the host's log, at the host's level: [`debug!`](crate::debug), [`info!`](crate::info) and their like.

use std::fmt;

pub use crate::abi::Level;
use crate::host;

/// Writes a line unless the host would drop it. Nothing is formatted then.
#[doc(hidden)]
pub fn write(level: Level, message: fmt::Arguments<'_>) {
    if level >= host::log_level() {
        match message.as_str() {
            Some(text) => host::log(level, text),
            None => host::log(level, &message.to_string()),
        }
    }
}

/// Logs at level trace.
#[macro_export]
macro_rules! trace {
    ($($message:tt)+) => { $crate::log::write($crate::log::Level::Trace, format_args!($($message)+)) };
}

/// Logs at level debug.
#[macro_export]
macro_rules! debug {
    ($($message:tt)+) => { $crate::log::write($crate::log::Level::Debug, format_args!($($message)+)) };
}

/// Logs at level info.
#[macro_export]
macro_rules! info {
    ($($message:tt)+) => { $crate::log::write($crate::log::Level::Info, format_args!($($message)+)) };
}

/// Logs at level warn.
#[macro_export]
macro_rules! warn {
    ($($message:tt)+) => { $crate::log::write($crate::log::Level::Warn, format_args!($($message)+)) };
}

/// Logs at level error.
#[macro_export]
macro_rules! error {
    ($($message:tt)+) => { $crate::log::write($crate::log::Level::Error, format_args!($($message)+)) };
}
