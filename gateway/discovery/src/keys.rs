//! Keys for tokens that are fetched (`jwksUri`): for each place a task on the control runtime that keeps them fresh.

mod fetch;
mod schedule;
#[cfg(test)]
mod tests;
mod watch;

pub use watch::{KeyNews, KeySettings, Keys};
