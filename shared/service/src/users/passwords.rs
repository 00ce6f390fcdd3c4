//! Password hashes: Argon2id on a bounded pool of blocking threads.
//!
//! One hash takes tens of milliseconds and 19 MiB, so how many run at once and how many may wait are both bounded.

use std::{
    num::NonZero,
    sync::{Arc, LazyLock},
    thread,
};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier},
};
use metrics::counter;
use tokio::{runtime::Handle, sync::Semaphore};

use crate::error::{Refusal, ServiceError};

/// Passwords that were checked, of known and unknown users alike.
pub const PASSWORD_CHECKS_TOTAL: &str = "plexus_password_checks_total";

/// Most hashes that wait for their turn. At 40 hashes a second on one core the last one waits for 6 s, less than clients do.
const WAITING_MAX: usize = 256;

/// Longest password, in bytes; what is longer is a way to make us work.
pub const PASSWORD_BYTES_MAX: usize = 512;

/// A hash that no password has, so that an unknown user costs as much time as a known one.
static NOBODYS_HASH: LazyLock<String> = LazyLock::new(|| hash_now(&crate::ids::random_text(32)).unwrap_or_default());

/// The pool that hashes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Passwords {
    runtime: Handle,
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
}

impl Passwords {
    /// A pool on `runtime`, as many hashes at once as there are cores.
    pub fn new(runtime: Handle) -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        Self {
            runtime,
            running: Arc::new(Semaphore::new(cores)),
            admitted: Arc::new(Semaphore::new(cores + WAITING_MAX)),
        }
    }

    /// The hash to store, in PHC form.
    pub async fn hash(&self, password: String) -> Result<String, ServiceError> {
        if password.len() > PASSWORD_BYTES_MAX {
            return Err(ServiceError::invalid_param("the password is too long"));
        }
        self.run(move || hash_now(&password))
            .await?
            .map_err(ServiceError::internal)
    }

    /// Whether `password` is the one that was hashed. Without a hash the answer is no, after the same time.
    pub async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, ServiceError> {
        if password.len() > PASSWORD_BYTES_MAX {
            return Ok(false);
        }
        counter!(PASSWORD_CHECKS_TOTAL).increment(1);
        self.run(move || {
            let known = hash.is_some();
            let hash = hash.unwrap_or_else(|| NOBODYS_HASH.clone());
            Argon2::default()
                .verify_password(password.as_bytes(), hash.as_str())
                .is_ok()
                && known
        })
        .await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, ServiceError> {
        let Ok(_admitted) = Arc::clone(&self.admitted).try_acquire_owned() else {
            return Err(ServiceError::refused(
                Refusal::LimitExceeded,
                "too many logins at once, try again later",
            ));
        };
        let running = Arc::clone(&self.running)
            .acquire_owned()
            .await
            .map_err(ServiceError::internal)?;
        let task = self.runtime.spawn_blocking(move || {
            let result = work();
            // Given back by the work, not by the caller, who may have gone away.
            drop(running);
            result
        });
        task.await.map_err(ServiceError::internal)
    }
}

fn hash_now(password: &str) -> Result<String, argon2::password_hash::Error> {
    Argon2::default()
        .hash_password(password.as_bytes())
        .map(|hash| hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_password_that_was_hashed_verifies() {
        let passwords = Passwords::new(Handle::current());
        let hash = passwords.hash("correct horse".to_owned()).await.expect("hashes");
        assert!(hash.starts_with("$argon2id$"));
        let verify = async |password: &str, hash: Option<String>| {
            passwords.verify(password.to_owned(), hash).await.expect("verifies")
        };
        assert!(verify("correct horse", Some(hash.clone())).await);
        assert!(!verify("correct house", Some(hash)).await);
        assert!(!verify("correct horse", None).await);
        assert!(!verify("correct horse", Some("not a hash".to_owned())).await);
    }

    #[tokio::test]
    async fn a_password_too_long_is_refused_before_work() {
        let passwords = Passwords::new(Handle::current());
        let long = "x".repeat(PASSWORD_BYTES_MAX + 1);
        assert!(passwords.hash(long.clone()).await.is_err());
        assert!(!passwords.verify(long, None).await.expect("verifies"));
    }

    #[tokio::test]
    async fn more_than_may_wait_are_turned_away() {
        let passwords = Passwords::new(Handle::current());
        let all = u32::try_from(passwords.admitted.available_permits()).expect("fits");
        let _held = passwords.admitted.acquire_many(all).await.expect("open");
        let refused = passwords.verify("x".to_owned(), None).await;
        assert!(matches!(
            refused,
            Err(ServiceError::Refused {
                kind: Refusal::LimitExceeded,
                ..
            })
        ));
    }
}
