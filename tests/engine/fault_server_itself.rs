//! Every fault happens as it is described, seen from a client that knows nothing of HTTP libraries.

mod bodies;
mod endings;
mod heads;
mod lists;
mod multipart;
mod objects;
mod raw_client;
mod rules;
mod waiting;
