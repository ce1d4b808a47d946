//! Files of both shapes give back what was written, resident or not, and never anything else when
//! they are damaged.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends on the first surprise")]

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;

use super::*;
use crate::{disk::seam::Reader, error::EngineError};

const NOTE: Note = [1, 2, 3, 4, 5, 6, u64::MAX];

/// A file in memory.
struct Bytes(Vec<u8>);

impl Reader for Bytes {
    fn bytes(&self) -> Result<u64, EngineError> {
        Ok(self.0.len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, EngineError> {
        let rest = self.0.get(offset as usize..).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }
}

type Model = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// A model as a source.
struct ModelSource(Vec<(Vec<u8>, Option<Vec<u8>>)>);

impl ModelSource {
    fn new(model: &Model) -> Box<Self> {
        Box::new(Self(model.iter().rev().map(|(key, value)| (key.clone(), value.clone())).collect()))
    }
}

impl Source for ModelSource {
    fn head(&self) -> Option<SortedRecord<'_>> {
        self.0.last().map(|(key, value)| SortedRecord { key, value: value.as_deref() })
    }

    fn advance(&mut self) -> Result<(), EngineError> {
        self.0.pop();
        Ok(())
    }
}

fn bytes_of(shape: Shape, model: &Model) -> Vec<u8> {
    let mut bytes = Vec::new();
    write((shape, model.len() as u64 + 3, NOTE), &mut *ModelSource::new(model), |next| {
        while let Some(part) = next()? {
            bytes.extend(part);
        }
        Ok(())
    })
    .unwrap();
    bytes
}

fn open(shape: Shape, bytes: Vec<u8>) -> Result<SortedFile, EngineError> {
    let reader: Arc<dyn Reader> = Arc::new(Bytes(bytes));
    SortedFile::open("file", Arc::new(reader), shape)
}

/// Both ways to have the file open.
fn both(shape: Shape, bytes: &[u8]) -> Vec<SortedFile> {
    let Ok(file) = open(shape, bytes.to_vec()) else { return Vec::new() };
    let resident = file.with_resident();
    let alone = (shape == Shape::Uniform).then_some(file);
    alone.into_iter().chain(resident).collect()
}

fn all(source: &mut dyn Source) -> Result<Model, EngineError> {
    let mut all = Model::new();
    while let Some(record) = source.head() {
        all.insert(record.key.to_vec(), record.value.map(<[u8]>::to_vec));
        source.advance()?;
    }
    Ok(all)
}

fn uniform(n: u64) -> Vec<u8> {
    let x = u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    (x ^ x >> 61).wrapping_mul(0xda94_2042_e4dd_58b5_d6e8_feb8_6659_fd93).to_be_bytes().to_vec()
}

/// A file of several pages.
fn example(shape: Shape) -> Model {
    let record = |n: u64| match shape {
        Shape::Uniform => (uniform(n), Some(vec![n as u8; UNIFORM_VALUE_BYTES])),
        Shape::Variable => {
            let value = vec![n as u8; n as usize * 7 % 300];
            (n.to_string().into_bytes(), (!n.is_multiple_of(9)).then_some(value))
        }
    };
    (0..600).map(record).collect()
}

fn variable_records() -> impl Strategy<Value = Model> {
    let value = prop_oneof![
        1 => Just(None),
        5 => prop::collection::vec(any::<u8>(), 0..300).prop_map(Some),
        1 => prop::collection::vec(any::<u8>(), 3_000..9_000).prop_map(Some),
    ];
    prop::collection::btree_map(prop::collection::vec(any::<u8>(), 1..20), value, 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn variable_files_give_back_what_was_written(model in variable_records(), after in prop::collection::vec(any::<u8>(), 0..4)) {
        let file = open(Shape::Variable, bytes_of(Shape::Variable, &model)).unwrap().with_resident().unwrap();
        prop_assert_eq!((file.len(), file.note()), (model.len() as u64, NOTE));
        prop_assert!(file.check().is_ok());
        for (key, value) in &model {
            let found = file.get(key, |record| record.value.map(<[u8]>::to_vec)).unwrap();
            prop_assert_eq!(found.as_ref(), Some(value));
            let longer = [key.as_slice(), &[0]].concat();
            prop_assert_eq!(file.get(&longer, |_| ()).unwrap().is_some(), model.contains_key(&longer));
        }
        let mut rest = model.clone();
        rest.retain(|key, _| *key > after);
        for read_bytes in [0, 5_000, 1 << 20] {
            prop_assert_eq!(&all(&mut Walk::new(&file, &after, read_bytes).unwrap()).unwrap(), &rest);
        }
    }

    #[test]
    fn uniform_files_give_back_what_was_written(keys in prop::collection::btree_set(0u64..100_000, 0..2_000)) {
        let model: Model = keys.iter().map(|n| (uniform(*n), Some(vec![*n as u8; UNIFORM_VALUE_BYTES]))).collect();
        for file in both(Shape::Uniform, &bytes_of(Shape::Uniform, &model)) {
            prop_assert!(file.check().is_ok());
            for n in keys.iter().copied().chain(200_000..200_300) {
                let found = file.get(&uniform(n), |record| record.value.map(<[u8]>::to_vec)).unwrap().flatten();
                prop_assert_eq!(found.as_ref(), model.get(&uniform(n)).and_then(Option::as_ref));
            }
            prop_assert_eq!(&all(&mut Walk::new(&file, &[], 9_000).unwrap()).unwrap(), &model);
        }
    }

    #[test]
    fn a_merge_is_the_union_and_the_newest_wins(models in prop::collection::vec(variable_records(), 0..5)) {
        let sources = models.iter().map(|model| ModelSource::new(model) as Box<dyn Source>).collect();
        let mut union = Model::new();
        for model in models.iter().rev() {
            union.extend(model.clone());
        }
        prop_assert_eq!(all(&mut Merge::new(sources)).unwrap(), union);
    }
}

#[test]
fn uniform_keys_that_are_close_together_are_found() {
    let key = |n: u128| (n * 3).to_be_bytes().to_vec();
    let model: Model = (0..700).map(|n| (key(n), Some(vec![7; UNIFORM_VALUE_BYTES]))).collect();
    for file in both(Shape::Uniform, &bytes_of(Shape::Uniform, &model)) {
        for n in 0..700 {
            assert!(file.get(&key(n), |_| ()).unwrap().is_some());
            assert!(file.get(&(n * 3 + 1).to_be_bytes(), |_| ()).unwrap().is_none());
        }
    }
}

#[test]
fn a_record_that_does_not_fit_is_refused() {
    for (shape, key, value) in [
        (Shape::Uniform, vec![1; 15], Some(vec![1; UNIFORM_VALUE_BYTES])),
        (Shape::Uniform, vec![1; 16], None),
        (Shape::Variable, vec![1; 256], Some(vec![])),
    ] {
        let model = Model::from([(key, value)]);
        let written = write((shape, 1, NOTE), &mut *ModelSource::new(&model), |next| {
            while next()?.is_some() {}
            Ok(())
        });
        assert!(written.is_err());
    }
}

/// Whether the file is noticed to be damaged; it must not give a wrong answer either way.
fn is_noticed(shape: Shape, bytes: &[u8], model: &Model) -> bool {
    let Ok(file) = open(shape, bytes.to_vec()) else { return true };
    for file in both(shape, bytes) {
        for (key, value) in model.iter().step_by(7) {
            if let Ok(found) = file.get(key, |record| record.value.map(<[u8]>::to_vec)) {
                assert_eq!(found.as_ref(), Some(value));
            }
        }
        if let Ok(found) = Walk::new(&file, &[], 1 << 16).and_then(|mut walk| all(&mut walk)) {
            assert_eq!(&found, model);
        }
    }
    file.check().is_err()
}

#[test]
fn every_flipped_bit_is_noticed() {
    let mut seed: u64 = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    println!("SEED={seed}");
    for shape in [Shape::Uniform, Shape::Variable] {
        let model = example(shape);
        let whole = bytes_of(shape, &model);
        assert!(!is_noticed(shape, &whole, &model));
        for _ in 0..300 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let bit = (seed >> 16) as usize % (whole.len() * 8);
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(is_noticed(shape, &bytes, &model), "{shape:?}, bit {bit}");
        }
        for len in [0, 1, 123, 124, 4_095, whole.len() / 2, whole.len() - 1] {
            assert!(is_noticed(shape, &whole[..len], &model), "{shape:?}, cut at {len}");
        }
    }
}
