//! Watching configuration: files.
