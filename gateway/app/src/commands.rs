//! The commands, one file each.

mod author_tools;
mod explain;
mod plugin;
mod plugin_bench;
mod plugin_push;
mod plugin_test;
mod serve;
mod test;
mod validate;
mod version;

pub(crate) use explain::explain;
pub(crate) use plugin::plugin;
pub(crate) use serve::serve;
pub(crate) use test::test;
pub(crate) use validate::validate;
pub(crate) use version::version;
