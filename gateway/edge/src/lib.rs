//! Listeners, TLS, HTTP/1, HTTP/2, drain.
