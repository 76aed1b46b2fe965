//! Every scenario, played on the real control plane, each in a namespace of its own, and compared with the embedded cluster.

use crate::scenario::play;
use crate::scenario::table::for_every_scenario;

macro_rules! scenes {
    ($($name:ident: $file:literal,)*) => {
        $(
            #[test]
            #[ignore = "tests/cluster/test runs it"]
            fn $name() {
                play::on_both($file);
            }
        )*
    };
}

for_every_scenario!(scenes);
