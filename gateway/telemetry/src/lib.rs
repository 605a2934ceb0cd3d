//! Metrics, access-log formats and writer; knows no routes.
