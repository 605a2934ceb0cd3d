//! The life of one request, from head to log.
