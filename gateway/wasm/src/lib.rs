//! The plugin host: compile, link, run, retire; a callback returns its effects as data.
