//! Dev only: fake upstreams, certificates, tiny guests.
