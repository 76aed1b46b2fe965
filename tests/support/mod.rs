//! What several test modules share.

pub mod source;
pub mod switched;
pub mod world;
