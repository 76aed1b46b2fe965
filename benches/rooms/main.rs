//! What the rooms cost at 10,000 releases, against the bounds that were promised.
//!
//! `cargo bench --bench rooms` prints a line for each measurement, with the bound beside it; words after `--` choose
//! among `spec`, `catalog`, `daemon` and `memory`. Times are medians; machines differ, so compare ratios within a run.
//! It ends with 0 whatever the numbers are: nothing here fails because a machine is busy.

mod catalog;
mod daemon;
mod files;
mod history;
mod measure;
mod memory;
mod objects;
mod spec;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    if let [word, folder] = words.as_slice()
        && word == memory::ALONE
    {
        return memory::alone(folder.as_ref());
    }
    let parts: [(&str, fn()); 4] =
        [("spec", spec::run), ("catalog", catalog::run), ("daemon", daemon::run), ("memory", memory::run)];
    for (name, run) in parts {
        if words.is_empty() || words.iter().any(|word| word == name) {
            run();
        }
    }
}
