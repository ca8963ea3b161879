//! What a transfer asks of, and tells, the program around it. Nothing here may block.

pub use crate::wire::body::BoxFuture as Answer;

/// The program around a transfer.
pub trait Host: Send + Sync + 'static {
    /// The content type for a file of this name.
    fn content_type(&self, name: String) -> Answer<String>;

    /// Whether anybody reads the messages, so that none is built in vain.
    fn wants_messages(&self) -> bool {
        false
    }

    /// A message for people who look for what happened.
    fn message(&self, _text: String) {}
}

/// A program that knows no types and reads no messages.
#[derive(Debug, Clone, Copy, Default)]
pub struct SilentHost;

impl Host for SilentHost {
    fn content_type(&self, _: String) -> Answer<String> {
        Box::pin(std::future::ready("application/octet-stream".to_owned()))
    }
}
