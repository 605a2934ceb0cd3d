//! Shared data and queues of the mock host: one VM id for all of its plugins.

use std::collections::{BTreeMap, VecDeque};

use crate::HostError;
use crate::abi::Stored;

#[derive(Debug, Default)]
pub(crate) struct SharedData {
    values: BTreeMap<String, (Vec<u8>, u32)>,
    last_version: u32,
}

impl SharedData {
    pub(crate) fn read(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        self.values.get(key).cloned()
    }

    /// Versions grow with every write, whatever its key, as in Envoy.
    pub(crate) fn write(&mut self, key: &str, value: &[u8], version: Option<u32>) -> Stored {
        let present = self.values.get(key).map(|(_, version)| *version);
        match (version.filter(|version| *version != 0), present) {
            (Some(expected), Some(present)) if expected != present => Stored::Conflict,
            _ => {
                self.last_version += 1;
                self.values.insert(key.to_owned(), (value.to_vec(), self.last_version));
                Stored::Done
            }
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Queues {
    queues: Vec<Queue>,
}

#[derive(Debug)]
struct Queue {
    name: String,
    /// Who is told of what comes in: the last to register.
    root: u32,
    values: VecDeque<Vec<u8>>,
}

impl Queues {
    pub(crate) fn register(&mut self, name: &str, root: u32) -> u32 {
        if let Some(id) = self.resolve(name) {
            if let Some(queue) = self.queues.get_mut(id as usize - 1) {
                queue.root = root;
            }
            return id;
        }
        self.queues.push(Queue { name: name.to_owned(), root, values: VecDeque::new() });
        self.queues.len() as u32
    }

    /// Ids begin at 1.
    pub(crate) fn resolve(&self, name: &str) -> Option<u32> {
        let index = self.queues.iter().position(|queue| queue.name == name)?;
        Some(index as u32 + 1)
    }

    /// Says whose context is to be told.
    pub(crate) fn push(&mut self, id: u32, value: &[u8]) -> Result<u32, HostError> {
        let queue = self.by_id("enqueue_shared_queue", id)?;
        queue.values.push_back(value.to_vec());
        Ok(queue.root)
    }

    pub(crate) fn pop(&mut self, id: u32) -> Result<Option<Vec<u8>>, HostError> {
        Ok(self.by_id("dequeue_shared_queue", id)?.values.pop_front())
    }

    fn by_id(&mut self, call: &'static str, id: u32) -> Result<&mut Queue, HostError> {
        let index = (id as usize).checked_sub(1);
        let queue = index.and_then(|index| self.queues.get_mut(index));
        queue.ok_or(HostError::new(call, HostError::NOT_FOUND))
    }
}
