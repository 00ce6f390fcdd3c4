//! Asking the master where the log ends: one question at a time, answered to everybody who asked before it was put.

use std::{
    future::Future,
    sync::atomic::{AtomicU64, Ordering::SeqCst},
};

use plexus_core::position::Position;
use tokio::sync::Mutex;

use crate::status::MasterError;

/// Batches questions for the head.
#[derive(Debug, Default)]
pub(crate) struct Heads {
    asked: AtomicU64,
    answered: Mutex<Option<Answer>>,
}

#[derive(Debug)]
struct Answer {
    /// Everybody up to this ticket had asked before the question was put.
    covers: u64,
    head: Result<Position, MasterError>,
}

impl Heads {
    /// The head as of now or later. `question` is put only if no question put after this call has been answered when it is this caller's turn.
    pub(crate) async fn get(
        &self,
        question: impl Future<Output = Result<Position, MasterError>>,
    ) -> Result<Position, MasterError> {
        let ticket = self.asked.fetch_add(1, SeqCst) + 1;
        let mut answered = self.answered.lock().await;
        if let Some(answer) = answered.as_ref().filter(|answer| answer.covers >= ticket) {
            return answer.head.clone();
        }
        let covers = self.asked.load(SeqCst);
        let head = question.await;
        *answered = Some(Answer {
            covers,
            head: head.clone(),
        });
        head
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::future::join_all;
    use plexus_core::position::WriterId;
    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn a_crowd_puts_two_questions_and_nobody_gets_an_answer_older_than_his_question() {
        let heads = Arc::new(Heads::default());
        let asked = AtomicU64::new(0);
        let open = Semaphore::new(0);
        let question = || async {
            let nth = i64::try_from(asked.fetch_add(1, SeqCst)).unwrap() + 1;
            open.acquire().await.unwrap().forget();
            Ok(Position::at(WriterId::MASTER, nth))
        };
        let first = heads.get(question());
        let crowd = async {
            // The first question is under way by now: join polls in order.
            assert_eq!(asked.load(SeqCst), 1);
            let crowd = join_all((0..100).map(|_| heads.get(question())));
            open.add_permits(2);
            crowd.await
        };
        let (first, crowd) = tokio::join!(first, crowd);
        assert_eq!(first, Ok(Position::at(WriterId::MASTER, 1)));
        assert!(crowd.iter().all(|head| *head == Ok(Position::at(WriterId::MASTER, 2))));
        assert_eq!(asked.load(SeqCst), 2);
    }
}
