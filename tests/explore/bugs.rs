//! Planted bugs: faults put into what the planner is told, or into what it decides, to see that the checker notices.

use triton::world::{Plan, World};

/// One planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// The last head seen is not remembered.
    HeadForgotten,
    /// An old leader sends what it planned, lease or not.
    LeaseIgnored,
}

impl Bug {
    /// Doctors what the planner is told.
    pub fn facts(self, _world: &mut World) {}

    /// Doctors what it decides.
    pub fn decisions(self, _world: &World, _plan: &mut Plan) {}
}
