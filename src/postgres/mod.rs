//! PostgreSQL: settings, TLS, sessions, the run lock, retries, the ledger's store and private clusters.

mod binaries;
pub mod cluster;
mod connection;
mod connection_string;
mod failure;
pub mod ledger;
mod lock;
mod password_file;
pub mod retry;
mod session;
mod stop;
mod system_user;
mod tls;

pub use cluster::Cluster;
pub use connection::ConnectionSettings;
pub use failure::describe_error;
pub use lock::{Fence, RunLock, Witness};
pub use retry::LockPatience;
pub use session::Session;
pub use stop::{INTERRUPTED, Stop, interrupted};
