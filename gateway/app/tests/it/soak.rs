//! What takes minutes, or programs that tests do not usually need: `make soak`.

mod clock;
mod disk;
mod idle;
mod loss;
mod reloads;
mod slow_http;
mod tls_scan;
