//! Switchboard from the outside: one module for each thing that users meet.

mod config;
