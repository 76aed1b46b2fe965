//! Plays random worlds over the planner and tells what went wrong:
//! `cargo run --release --example explore -- --worlds 100000 --seed 0`.

use std::process::ExitCode;

#[path = "../tests/explore/mod.rs"]
mod explore;

/// What the command line says.
struct Wanted {
    worlds: u64,
    seed: u64,
    stories: usize,
    /// Worlds in which every planted bug is looked for; 0 plants none.
    bugs: u64,
}

fn wanted() -> Result<Wanted, String> {
    let mut wanted = Wanted { worlds: 1_000, seed: 0, stories: 3, bugs: 0 };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let number = words.next().and_then(|text| text.parse::<u64>().ok());
        let number = number.ok_or_else(|| format!("{word} takes a number"))?;
        match word.as_str() {
            "--worlds" => wanted.worlds = number,
            "--bugs" => wanted.bugs = number,
            "--seed" => wanted.seed = number,
            "--stories" => wanted.stories = usize::try_from(number).map_err(|error| error.to_string())?,
            _ => return Err(format!("{word} is none of --worlds, --seed, --stories, --bugs")),
        }
    }
    Ok(wanted)
}

/// Plants every bug in turn, and tells the first world in which it shows.
fn planted(worlds: u64) -> ExitCode {
    let mut unnoticed = 0;
    for bug in explore::bugs::ALL {
        match explore::report::first_seed(0..worlds, *bug) {
            Some((seed, what)) => println!("{bug:?}: world {seed}: {what}"),
            None => {
                println!("{bug:?}: not noticed");
                unnoticed += 1;
            }
        }
    }
    println!("{} planted bugs, {unnoticed} not noticed in {worlds} worlds", explore::bugs::ALL.len());
    if unnoticed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn main() -> ExitCode {
    let wanted = match wanted() {
        Ok(wanted) => wanted,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    std::panic::set_hook(Box::new(|_| {}));
    if wanted.bugs > 0 {
        return planted(wanted.bugs);
    }
    let report = explore::report::explore(wanted.seed..wanted.seed + wanted.worlds, None);
    let mut failed: Vec<_> = report.failed.iter().collect();
    failed.sort_by_key(|(_, seeds)| std::cmp::Reverse(seeds.len()));
    for (what, seeds) in failed.iter().take(wanted.stories) {
        println!("{} × {what}\n{}", seeds.len(), explore::report::story(seeds[0], None));
    }
    for (what, seeds) in &failed {
        println!("{} × {what}, seeds {:?}", seeds.len(), &seeds[..seeds.len().min(5)]);
    }
    println!(
        "{} crashes compared, {} surplus pods cured, rest after at most {} rounds",
        report.pairs, report.cures, report.longest
    );
    println!("{} worlds, {} events, {} violations", report.worlds, report.events, report.violations());
    if report.violations() > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
