//! The parts of the flow control in which threads meet: the files of `src/flow`, compiled for loom.

#[path = "../../src/flow/budget.rs"]
mod budget;
#[path = "../../src/flow/lanes.rs"]
mod lanes;

pub use budget::{Budget, Reserved};
pub use lanes::Lanes;
pub use tokio_util::sync::CancellationToken as Cancel;
