//! What users of the crate and of the server see, in one test binary.

mod edge;
