//! The two REST APIs, seen as a client sees them: one file each, and the one road to the network.
//!
//! [`providers`] and [`accounts`] know paths, parameters and answers; [`transport`] holds the only
//! `send` of the crate; [`wire`] decodes by allow-list, so that a secret never enters memory.

pub mod error;
pub mod probe;
pub mod settings;
