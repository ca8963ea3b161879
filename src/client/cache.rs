//! The cache of clients: a few, the least recently used one goes first, as `functools.lru_cache` counts it.

/// What `cache_info()` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheInfo {
    /// Calls answered from the cache.
    pub hits: u64,
    /// Calls for which something was built.
    pub misses: u64,
    /// The most entries there may be.
    pub capacity: usize,
    /// Entries there are.
    pub size: usize,
}

/// A cache so small that searching it from end to end is fastest.
#[derive(Debug)]
pub struct Cache<K, V> {
    /// Least recently used first.
    entries: Vec<(K, V)>,
    capacity: usize,
    hits: u64,
    misses: u64,
}

impl<K: PartialEq, V: Clone> Cache<K, V> {
    /// An empty cache.
    pub fn new(capacity: usize) -> Self {
        Self { entries: Vec::with_capacity(capacity), capacity, hits: 0, misses: 0 }
    }

    /// What is cached under a key, now the most recently used. Counts a hit or a miss.
    pub fn get(&mut self, key: &K) -> Option<V> {
        let Some(at) = self.entries.iter().position(|(known, _)| known == key) else {
            self.misses += 1;
            return None;
        };
        self.hits += 1;
        self.entries[at..].rotate_left(1);
        self.entries.last().map(|(_, value)| value.clone())
    }

    /// Puts something in that was missed, unless another thread was quicker: then its value is the one, and the miss
    /// was a hit after all. Returns the value that counts, and what had to go, so that the caller may drop it outside of
    /// a lock.
    #[must_use]
    pub fn insert(&mut self, key: K, value: V) -> (V, Option<(K, V)>) {
        if let Some(at) = self.entries.iter().position(|(known, _)| *known == key) {
            self.misses = self.misses.saturating_sub(1); // the counts may have been cleared meanwhile
            self.hits += 1;
            return (self.entries[at].1.clone(), Some((key, value)));
        }
        let gone = (self.entries.len() >= self.capacity).then(|| self.entries.remove(0));
        self.entries.push((key, value.clone()));
        (value, gone)
    }

    /// Forgets everything, the counts too.
    #[must_use]
    pub fn clear(&mut self) -> Vec<(K, V)> {
        (self.hits, self.misses) = (0, 0);
        std::mem::take(&mut self.entries)
    }

    /// Counts and size.
    pub fn info(&self) -> CacheInfo {
        CacheInfo { hits: self.hits, misses: self.misses, capacity: self.capacity, size: self.entries.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_entry_goes_first() {
        let mut cache = Cache::new(2);
        assert_eq!(cache.get(&1), None);
        assert_eq!(cache.insert(1, "a"), ("a", None));
        assert_eq!(cache.insert(2, "b"), ("b", None));
        assert_eq!(cache.get(&1), Some("a"));
        assert_eq!(cache.insert(3, "c"), ("c", Some((2, "b"))));
        assert_eq!(cache.get(&1), Some("a"));
        assert_eq!(cache.info(), CacheInfo { hits: 2, misses: 1, capacity: 2, size: 2 });
        assert_eq!(cache.clear().len(), 2);
        assert_eq!(cache.info(), CacheInfo { hits: 0, misses: 0, capacity: 2, size: 0 });
    }

    #[test]
    fn who_comes_second_gets_what_the_first_one_built() {
        let mut cache = Cache::new(2);
        assert_eq!((cache.get(&1), cache.get(&1)), (None, None));
        assert_eq!(cache.insert(1, "first"), ("first", None));
        assert_eq!(cache.insert(1, "second"), ("first", Some((1, "second"))));
        assert_eq!(cache.info(), CacheInfo { hits: 1, misses: 1, capacity: 2, size: 1 });
    }
}
