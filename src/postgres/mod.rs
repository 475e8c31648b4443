//! PostgreSQL: settings, TLS, sessions, the run lock, retries, the ledger's store and private clusters.

pub mod cluster;
mod connection;
pub mod ledger;
mod lock;
mod session;

pub use connection::ConnectionSettings;
pub use lock::RunLock;
pub use session::{Session, describe_error};
