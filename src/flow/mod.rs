//! How much is under way at once: the window of units in flight, the budget of bytes, cancellation.

mod budget;
mod lanes;
mod window;

pub use budget::{Budget, Reserved};
pub use tokio_util::sync::CancellationToken as Cancel;
pub use window::{Lane, Window};
