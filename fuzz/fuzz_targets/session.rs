#![no_main]

use libfuzzer_sys::{fuzz_crossover, fuzz_mutator, fuzz_target};
use ottla_fuzz as _;
use ottla_fuzzing::session::{self, mutate};

fuzz_target!(|data: &[u8]| session::target(data));

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let new = mutate::mutate(&data[..size], max_size, seed);
    data[..new.len()].copy_from_slice(&new);
    new.len()
});

fuzz_crossover!(|first: &[u8], second: &[u8], out: &mut [u8], seed: u32| {
    let new = mutate::cross(first, second, out.len(), seed);
    out[..new.len()].copy_from_slice(&new);
    new.len()
});
