//! What several test modules share.

pub mod source;
pub mod world;
