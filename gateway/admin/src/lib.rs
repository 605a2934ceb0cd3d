//! 15021 health, 15020 metrics, 15000 admin.
