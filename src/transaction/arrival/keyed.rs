//! Hashes with keys of the run's own: nobody can choose what meets in them.

use std::hash::Hasher;
use std::num::NonZeroU32;

use foldhash::SharedSeed;
use foldhash::quality::FoldHasher;

use super::between::{Address, Between};
use super::{KeyHash, QuestionHash};
use crate::frame::Transport;
use crate::message::Question;
use crate::wide::BLOCK;

/// Hashes with keys of the run's own.
#[derive(Clone, Debug)]
pub(super) struct Keyed {
    first: u64,
    others: SharedSeed,
    /// Those of sums: for each block from the first on, and for the last of a message.
    of_blocks: [Lanes64; BLOCKS],
    of_last: Lanes64,
}

/// Messages of more whole blocks are hashed in another way. A name never has more.
const BLOCKS: usize = 8;
/// How many numbers a block is made of.
const LANES: usize = BLOCK / size_of::<u64>();
/// These numbers.
type Lanes64 = [u64; LANES];

impl Default for Keyed {
    fn default() -> Self {
        // Its keys come from the system's source of randomness.
        let random = ahash::RandomState::new();
        let mut keys = (0_u64..).map(|number| random.hash_one(number));
        let mut next = || keys.next().unwrap_or_default();
        Self {
            first: next(),
            others: SharedSeed::from_u64(next()),
            of_blocks: std::array::from_fn(|_| std::array::from_fn(|_| next())),
            of_last: std::array::from_fn(|_| next()),
        }
    }
}

impl Keyed {
    #[inline(always)]
    fn hasher(&self) -> FoldHasher<'_> {
        FoldHasher::with_seed(self.first, &self.others)
    }

    /// The question: name, type, class.
    #[inline(always)]
    pub(super) fn question(&self, question: &Question) -> QuestionHash {
        if !question.is_present() {
            return None;
        }
        let (record_type, class) = question.type_and_class();
        let type_and_class = u32::from(record_type) << 16 | u32::from(class);
        let hash = match question.blocks() {
            Some(blocks) => self.pair(self.sum(blocks, [0; LANES]), type_and_class.into()),
            None => self.bytes(question.name_bytes(), type_and_class.into()),
        };
        NonZeroU32::new(hash.max(1))
    }

    /// A message.
    #[inline(always)]
    pub(super) fn payload(&self, bytes: &[u8]) -> u32 {
        let (blocks, _) = bytes.as_chunks();
        match bytes.last_chunk() {
            Some(last) if blocks.len() <= BLOCKS => {
                // What is left behind the whole blocks, and some of it once more.
                let sums = add(last, &self.of_last, [0; LANES]);
                self.pair(self.sum(blocks, sums), bytes.len() as u64)
            }
            _ => self.bytes(bytes, 0),
        }
    }

    /// Two numbers.
    #[inline(always)]
    fn pair(&self, first: u64, second: u64) -> u32 {
        let mut hasher = self.hasher();
        hasher.write_u64(first);
        hasher.write_u64(second);
        hasher.finish() as u32
    }

    /// Any bytes and a number.
    #[cold]
    fn bytes(&self, bytes: &[u8], beside: u64) -> u32 {
        let mut hasher = self.hasher();
        hasher.write(bytes);
        hasher.write_u64(beside);
        hasher.finish() as u32
    }

    /// The sum over blocks of the products of halves of 64 bits, each with a key of its own added: as NH of UMAC (RFC 4418,
    /// 5.2), with the carry between the halves. Of other blocks, as many, it is the same with a probability of 2^-31 at
    /// most, whoever chose them.
    #[inline(always)]
    fn sum(&self, blocks: &[[u8; BLOCK]], mut sums: Lanes64) -> u64 {
        for (block, keys) in blocks.iter().zip(&self.of_blocks) {
            sums = add(block, keys, sums);
        }
        sums.into_iter().fold(0, u64::wrapping_add)
    }

    /// The key of what goes between two hosts.
    #[inline(always)]
    pub(super) fn key<A: Address>(&self, between: &Between<A>) -> KeyHash {
        let mut hasher = self.hasher();
        let (client, port) = between.client;
        client.hash(u32::from(port) << 16 | u32::from(between.id), &mut hasher);
        let is_stream = between.transport == Transport::Tcp;
        let (resolver, port) = between.resolver;
        hasher.write_u64(u64::from(port) << 1 | u64::from(between.is_multicast_response()));
        let others = hasher.finish();
        let without_resolver = others as u32 & !1 | u32::from(is_stream);
        let mut hasher = self.hasher();
        resolver.hash((others >> 32) as u32, &mut hasher);
        KeyHash {
            without_resolver,
            resolver: hasher.finish() as u32,
        }
    }
}

/// Adds the products of a block to sums.
#[inline(always)]
fn add(block: &[u8; BLOCK], keys: &Lanes64, mut sums: Lanes64) -> Lanes64 {
    let (numbers, _) = block.as_chunks();
    for ((sum, number), key) in sums.iter_mut().zip(numbers).zip(keys) {
        let keyed = u64::from_le_bytes(*number).wrapping_add(*key);
        *sum = sum.wrapping_add((keyed & 0xFFFF_FFFF).wrapping_mul(keyed >> 32));
    }
    sums
}
