//! libgit2's own settings, which belong to the whole process.

use std::sync::Once;

use git2::ConfigLevel;

/// Bytes of parsed objects that libgit2 keeps. Uncapped it held 126 MiB after reading 10,000 files; with this
/// limit 42 MiB, at the same speed.
const CACHE_MAX: isize = 16 << 20;

/// Cuts libgit2 off from the machine's Git configuration, before anything is opened.
///
/// Only the repository's own `config` is read after this: no `~/.gitconfig`, so that nobody's aliases, rewritten
/// addresses or credential helpers reach the daemon. The owner of a directory is not asked for: the check protects
/// programs that run hooks and filters, and reading objects runs nothing, while a mounted repository often belongs
/// to another user.
pub fn isolate() {
    static ONCE: Once = Once::new();
    ONCE.call_once(set);
}

#[expect(unsafe_code, reason = "libgit2 keeps these settings in globals; `Once` makes this the only writer")]
fn set() {
    let levels = [ConfigLevel::ProgramData, ConfigLevel::System, ConfigLevel::XDG, ConfigLevel::Global];
    for level in levels {
        // SAFETY: the globals are written once, before this crate opens its first repository.
        unsafe { git2::opts::set_search_path(level, "") }.expect("an empty search path is valid");
    }
    // SAFETY: as above.
    unsafe { git2::opts::set_verify_owner_validation(false) }.expect("the setting exists");
    // SAFETY: as above.
    unsafe { git2::opts::set_cache_max_size(CACHE_MAX) }.expect("the setting exists");
}
