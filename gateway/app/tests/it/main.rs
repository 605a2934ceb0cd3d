//! The integration tests, one module per topic.

#![allow(missing_docs, unreachable_pub)]

mod house;
