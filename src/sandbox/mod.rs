//! The emulated upstreams.
