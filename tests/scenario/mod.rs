//! Scenarios: stories in `tests/scenarios/*.yaml`, told in commits, clusters and time, and played with the real
//! daemon and a real repository, on the embedded cluster and on a real control plane.

pub mod table;
mod format;
mod reading;
mod history;
mod observer;
mod wire;
mod ground;
mod health;
mod real;
mod daemon;
mod trace;
mod accepted;
mod stage;
pub mod play;
mod stories;

/// One test for each file, so that each can be asked for by name.
macro_rules! scenarios {
    ($($name:ident: $file:literal,)*) => {
        $(
            #[test]
            fn $name() {
                play::twice($file);
            }
        )*
        const FILES: &[&str] = &[$($file),*];
    };
}

table::for_every_scenario!(scenarios);

/// A partition that is lowered by hand lets more pods go than anybody has approved; nobody is there to repair it.
#[test]
#[should_panic(expected = "1 are approved")]
fn the_observer_notices_pods_that_nobody_has_approved() {
    play::text(
        "says: {}
steps:
- expect: { phase: Healthy }
- commit: { image: B }
- expect: { phase: Paused, step: 1 }
- kill: {}
- cluster: { patch: { spec: { updateStrategy: { partition: 0 } } } }
- advance: 1m
",
    );
}

#[test]
#[should_panic(expected = "pods by image is")]
fn a_scenario_that_is_not_so_fails() {
    play::text("says: {}\nsteps:\n- stays: { for: 1m, images: {} }\n");
}
