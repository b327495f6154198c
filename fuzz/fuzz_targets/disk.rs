#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use ottla_fuzz as _;
use ottla_fuzzing::session::disk;

fuzz_target!(|data: &[u8]| disk::target(data));

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let new = disk::mutate(&data[..size], max_size, seed);
    data[..new.len()].copy_from_slice(&new);
    new.len()
});
