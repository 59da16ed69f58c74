//! One operation's life, the same for every transport.
