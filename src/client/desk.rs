//! Where the engine asks for the keys of a client that is the caller's. Only threads that wait for a transfer are asked:
//! the client is Python's, and no thread of ours may run Python.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::config::Secret;

/// Keys as a caller's client has them now.
#[derive(Debug, Clone)]
pub struct Keys {
    /// Access key id.
    pub access_key: String,
    /// Secret access key.
    pub secret_key: Secret,
    /// Session token of temporary credentials.
    pub session_token: Option<Secret>,
    /// How long they may be used before the client is asked again; `None`: as long as S3 takes them.
    pub lasting: Option<Duration>,
}

/// A question for keys. All who wait get it, who comes while it is open too, and whoever takes it first answers.
#[derive(Clone)]
pub struct Question(Arc<Mutex<Option<oneshot::Sender<Keys>>>>);

impl Question {
    /// Whether it still wants an answer.
    pub fn is_open(&self) -> bool {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sender.as_ref().is_some_and(|sender| !sender.is_closed())
    }

    /// What takes the answer; `None` when somebody else answers.
    pub fn take(&self) -> Option<oneshot::Sender<Keys>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

type Put = Box<dyn Fn(Question) + Send>;

/// The callers who wait.
#[derive(Default)]
pub struct Desk {
    callers: Arc<Mutex<Callers>>,
}

#[derive(Default)]
struct Callers {
    arrived: u64,
    waiting: Vec<(u64, Put)>,
    /// What was asked last.
    asked: Option<Question>,
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Desk")
    }
}

/// A caller who can be asked, until this is dropped.
pub struct Asked {
    callers: Arc<Mutex<Callers>>,
    number: u64,
}

impl Desk {
    /// Counts a caller in; `put` hands a question over without waiting. One that is open comes at once: who got it before
    /// may be waiting for this very caller.
    pub fn arrive(&self, put: impl Fn(Question) + Send + 'static) -> Asked {
        let mut callers = lock(&self.callers);
        let number = callers.arrived;
        callers.arrived += 1;
        if let Some(open) = callers.asked.as_ref().filter(|question| question.is_open()) {
            put(open.clone());
        }
        callers.waiting.push((number, Box::new(put)));
        Asked { callers: self.callers.clone(), number }
    }

    /// Asks until somebody answers; `None` when nobody waits any more.
    pub async fn ask(&self) -> Option<Keys> {
        loop {
            let (sender, receiver) = oneshot::channel();
            {
                let question = Question(Arc::new(Mutex::new(Some(sender))));
                let mut callers = lock(&self.callers);
                if callers.waiting.is_empty() {
                    return None;
                }
                callers.waiting.iter().for_each(|(_, put)| put(question.clone()));
                callers.asked = Some(question);
            }
            // Without an answer whoever took the question has gone, or all have; others are asked.
            if let Ok(keys) = receiver.await {
                return Some(keys);
            }
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let gone = {
            let mut callers = lock(&self.callers);
            let at = callers.waiting.iter().position(|(number, _)| *number == self.number);
            let gone = at.map(|at| callers.waiting.remove(at));
            // The last one takes the question along: nobody is left to answer it.
            let unanswered = callers.waiting.is_empty().then(|| callers.asked.take());
            (gone, unanswered)
        };
        drop(gone);
    }
}

fn lock(callers: &Mutex<Callers>) -> MutexGuard<'_, Callers> {
    callers.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    fn keys(name: &str) -> Keys {
        Keys { access_key: name.into(), secret_key: Secret::new("secret"), session_token: None, lasting: None }
    }

    fn arrive(desk: &Desk) -> (Asked, Receiver<Question>) {
        let (sender, receiver) = channel();
        (desk.arrive(move |question| drop(sender.send(question))), receiver)
    }

    async fn received(questions: &Receiver<Question>) -> Question {
        loop {
            match questions.try_recv() {
                Ok(question) => return question,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    }

    #[tokio::test]
    async fn where_nobody_waits_nobody_answers() {
        let desk = Desk::default();
        assert!(desk.ask().await.is_none());
        let (asked, _received) = arrive(&desk);
        drop(asked);
        assert!(desk.ask().await.is_none());
    }

    #[tokio::test]
    async fn everybody_is_asked_and_one_answers() {
        let desk = Desk::default();
        let (_first, first) = arrive(&desk);
        let (_second, second) = arrive(&desk);
        let answer = async {
            let (one, other) = (received(&second).await, received(&first).await);
            assert!(one.take().unwrap().send(keys("second")).is_ok());
            assert!(other.take().is_none());
        };
        let (found, ()) = tokio::join!(desk.ask(), answer);
        assert_eq!(found.unwrap().access_key, "second");
    }

    #[tokio::test]
    async fn who_comes_while_a_question_is_open_can_answer_it() {
        let desk = Desk::default();
        let (_first, first) = arrive(&desk);
        let answer = async {
            let seen = received(&first).await;
            assert!(seen.is_open());
            let (_second, second) = arrive(&desk);
            assert!(received(&second).await.take().unwrap().send(keys("second")).is_ok());
            assert!(!seen.is_open());
            let (_third, third) = arrive(&desk);
            assert!(third.try_recv().is_err());
        };
        let (found, ()) = tokio::join!(desk.ask(), answer);
        assert_eq!(found.unwrap().access_key, "second");
    }

    #[tokio::test]
    async fn an_open_question_ends_with_the_last_who_could_answer_it() {
        let desk = Desk::default();
        let (first, questions) = arrive(&desk);
        let leave = async {
            drop(received(&questions).await);
            drop(first);
        };
        let (found, ()) = tokio::join!(desk.ask(), leave);
        assert!(found.is_none());
    }

    #[tokio::test]
    async fn when_the_one_who_took_the_question_goes_the_others_are_asked() {
        let desk = Desk::default();
        let (first, questions) = arrive(&desk);
        let (_second, others) = arrive(&desk);
        let answer = async {
            let (taken, seen) = (received(&questions).await, received(&others).await);
            drop(first);
            drop((taken.take(), taken, seen));
            assert!(received(&others).await.take().unwrap().send(keys("second")).is_ok());
        };
        let (found, ()) = tokio::join!(desk.ask(), answer);
        assert_eq!(found.unwrap().access_key, "second");
        assert!(questions.try_recv().is_err());
    }
}
