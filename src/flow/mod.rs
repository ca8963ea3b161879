//! How much is under way at once: the window of units in flight, the budget of bytes, progress counters, cancellation.

mod budget;
mod progress;
mod window;

pub use budget::{Budget, Reserved};
pub use progress::Progress;
pub use tokio_util::sync::CancellationToken as Cancel;
pub use window::{Lane, Window};
