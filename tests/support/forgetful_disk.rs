//! A file system that forgets: kept in memory, mounted over FUSE, and able to lose its power. Then
//! every write that was not flushed is lost, kept, or torn, by chance; every name that was not
//! flushed with its folder is lost.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, SystemTime},
};

use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, LockOwner, MountOption, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow,
    WriteFlags,
};

use super::Chance;

/// The kernel may cache everything, since only the kernel changes anything while mounted.
const TTL: Duration = Duration::from_secs(3_600);
/// Size that a write to a real disk is torn at, in bytes.
const SECTOR: u64 = 512;
/// Size of the disk, in bytes.
const DISK_BYTES: u64 = 8 << 30;
const BLOCK: u32 = 4_096;

/// A disk, and its mount while it has power.
pub(crate) struct ForgetfulDisk {
    disk: Arc<Mutex<Disk>>,
    mount: PathBuf,
    session: Option<BackgroundSession>,
    _folder: tempfile::TempDir,
}

/// The unflushed writes and names that a power cut has lost.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Forgotten {
    pub(crate) writes: usize,
    pub(crate) of_writes: usize,
    pub(crate) names: usize,
}

impl std::ops::AddAssign for Forgotten {
    fn add_assign(&mut self, other: Self) {
        self.writes += other.writes;
        self.of_writes += other.of_writes;
        self.names += other.names;
    }
}

impl ForgetfulDisk {
    /// Mounts an empty disk. With `lies`, it acknowledges each flush and makes none.
    ///
    /// # Errors
    ///
    /// Returns an error where the system has no FUSE, or does not let this user mount.
    pub(crate) fn mount(lies: bool) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mount = folder.path().join("disk");
        std::fs::create_dir(&mount)?;
        let mut disk = Disk { nodes: BTreeMap::new(), next: INodeNo::ROOT.0, lies };
        disk.add(Content::Folder(Names::default()));
        let mut this = Self { disk: Arc::new(Mutex::new(disk)), mount, session: None, _folder: folder };
        this.power_on()?;
        Ok(this)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.mount
    }

    fn power_on(&mut self) -> io::Result<()> {
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("forgetful".into()), MountOption::NoAtime];
        self.session = Some(fuser::spawn_mount(Mounted(self.disk.clone()), &self.mount, &config)?);
        Ok(())
    }

    /// Cuts the power and turns it on again. No process may have a file open.
    pub(crate) fn cut(&mut self, chance: &mut Chance) -> Forgotten {
        if let Some(session) = self.session.take() {
            session.umount_and_join().expect("the disk is unmounted");
        }
        let forgotten = locked(&self.disk).cut(chance);
        self.power_on().expect("the disk is mounted again");
        forgotten
    }
}

struct Disk {
    nodes: BTreeMap<u64, Node>,
    next: u64,
    lies: bool,
}

struct Node {
    content: Content,
    changed: SystemTime,
}

enum Content {
    File(Bytes),
    Folder(Names),
}

/// A file's bytes, and how to take back the writes that were not flushed.
#[derive(Default)]
struct Bytes {
    now: Vec<u8>,
    unflushed: Vec<Change>,
}

/// A change of a file, and what was at its place before.
struct Change {
    at: u64,
    before: Vec<u8>,
    len_before: u64,
    what: What,
}

enum What {
    Write(Vec<u8>),
    Len(u64),
}

/// The names of a folder, now and as of its last flush.
#[derive(Default)]
struct Names {
    now: BTreeMap<OsString, u64>,
    flushed: BTreeMap<OsString, u64>,
}

impl Bytes {
    fn write(&mut self, at: u64, data: &[u8]) {
        let (start, end) = (at as usize, at as usize + data.len());
        let before = self.now.get(start..end.min(self.now.len())).unwrap_or_default().to_vec();
        self.remember(at, before, What::Write(data.to_vec()));
        self.put(at, data);
    }

    fn put(&mut self, at: u64, data: &[u8]) {
        let (start, end) = (at as usize, at as usize + data.len());
        self.now.resize(self.now.len().max(end), 0);
        self.now[start..end].copy_from_slice(data);
    }

    fn set_len(&mut self, len: u64) {
        let before = self.now.get(len as usize..).unwrap_or_default().to_vec();
        self.remember(len, before, What::Len(len));
        self.now.resize(len as usize, 0);
    }

    fn remember(&mut self, at: u64, before: Vec<u8>, what: What) {
        let len_before = self.now.len() as u64;
        self.unflushed.push(Change { at, before, len_before, what });
    }

    /// Takes back every unflushed change, then makes some of them again, whole or in part.
    fn cut(&mut self, chance: &mut Chance, forgotten: &mut Forgotten) {
        let changes = std::mem::take(&mut self.unflushed);
        for change in changes.iter().rev() {
            self.now.resize(change.len_before as usize, 0);
            let start = change.at as usize;
            self.now[start..start + change.before.len()].copy_from_slice(&change.before);
        }
        forgotten.of_writes += changes.len();
        // Half of the cuts lose everything that was not flushed.
        let keeps_some = chance.below(2) == 0;
        for change in changes {
            let fate = if keeps_some { chance.below(3) } else { 2 };
            forgotten.writes += usize::from(fate > 0);
            match (change.what, fate) {
                (What::Write(data), 0) => self.put(change.at, &data),
                (What::Write(data), 1) => {
                    let torn = chance.below(data.len() as u64 / SECTOR + 1) * SECTOR;
                    self.put(change.at, &data[..torn as usize]);
                }
                (What::Len(len), 0) => self.now.resize(len as usize, 0),
                _ => {}
            }
        }
    }
}

impl Disk {
    fn add(&mut self, content: Content) -> u64 {
        let number = self.next;
        self.next += 1;
        self.nodes.insert(number, Node { content, changed: SystemTime::now() });
        number
    }

    /// Returns a file that is about to change.
    fn file(&mut self, number: INodeNo) -> Result<&mut Bytes, Errno> {
        let node = self.nodes.get_mut(&number.0).ok_or(Errno::ENOENT)?;
        node.changed = SystemTime::now();
        match &mut node.content {
            Content::File(bytes) => Ok(bytes),
            Content::Folder(_) => Err(Errno::EISDIR),
        }
    }

    /// Returns the names of a folder that are about to change.
    fn folder(&mut self, number: INodeNo) -> Result<&mut Names, Errno> {
        let node = self.nodes.get_mut(&number.0).ok_or(Errno::ENOENT)?;
        node.changed = SystemTime::now();
        match &mut node.content {
            Content::Folder(names) => Ok(names),
            Content::File(_) => Err(Errno::ENOTDIR),
        }
    }

    fn find(&self, parent: INodeNo, name: &OsStr) -> Result<u64, Errno> {
        match self.nodes.get(&parent.0).map(|node| &node.content) {
            Some(Content::Folder(names)) => names.now.get(name).copied().ok_or(Errno::ENOENT),
            _ => Err(Errno::ENOTDIR),
        }
    }

    fn attributes(&self, number: u64) -> Result<FileAttr, Errno> {
        let node = self.nodes.get(&number).ok_or(Errno::ENOENT)?;
        let (kind, size, perm) = match &node.content {
            Content::File(bytes) => (FileType::RegularFile, bytes.now.len() as u64, 0o644),
            Content::Folder(_) => (FileType::Directory, 0, 0o755),
        };
        let at = node.changed;
        Ok(FileAttr {
            ino: INodeNo(number),
            size,
            blocks: size.div_ceil(512),
            atime: at,
            mtime: at,
            ctime: at,
            crtime: at,
            kind,
            perm,
            nlink: 1,
            uid: rustix::process::getuid().as_raw(),
            gid: rustix::process::getgid().as_raw(),
            rdev: 0,
            blksize: BLOCK,
            flags: 0,
        })
    }

    fn create(&mut self, parent: INodeNo, name: &OsStr, content: Content) -> Result<FileAttr, Errno> {
        if self.find(parent, name).is_ok() {
            return Err(Errno::EEXIST);
        }
        let number = self.add(content);
        self.folder(parent)?.now.insert(name.to_owned(), number);
        self.attributes(number)
    }

    fn rename(&mut self, from: (INodeNo, &OsStr), to: (INodeNo, &OsStr)) -> Result<(), Errno> {
        let number = self.find(from.0, from.1)?;
        self.folder(to.0)?.now.insert(to.1.to_owned(), number);
        self.folder(from.0)?.now.remove(from.1);
        Ok(())
    }

    fn remove(&mut self, parent: INodeNo, name: &OsStr) -> Result<(), Errno> {
        let number = self.find(parent, name)?;
        if matches!(&self.nodes[&number].content, Content::Folder(names) if !names.now.is_empty()) {
            return Err(Errno::ENOTEMPTY);
        }
        self.folder(parent)?.now.remove(name);
        Ok(())
    }

    fn flush(&mut self, number: INodeNo) -> Result<(), Errno> {
        let lies = self.lies;
        match self.nodes.get_mut(&number.0).map(|node| &mut node.content).ok_or(Errno::ENOENT)? {
            _ if lies => {}
            Content::File(bytes) => bytes.unflushed.clear(),
            Content::Folder(names) => names.flushed.clone_from(&names.now),
        }
        Ok(())
    }

    fn cut(&mut self, chance: &mut Chance) -> Forgotten {
        let mut forgotten = Forgotten::default();
        for node in self.nodes.values_mut() {
            match &mut node.content {
                Content::File(bytes) => bytes.cut(chance, &mut forgotten),
                Content::Folder(names) => {
                    let lost = |name: &&OsString| names.now.get(*name) != names.flushed.get(*name);
                    forgotten.names += names.now.keys().filter(lost).count();
                    names.now.clone_from(&names.flushed);
                }
            }
        }
        let named: Vec<u64> = self
            .nodes
            .values()
            .filter_map(|node| match &node.content {
                Content::Folder(names) => Some(names.now.values().copied()),
                Content::File(_) => None,
            })
            .flatten()
            .collect();
        self.nodes.retain(|number, _| *number == INodeNo::ROOT.0 || named.contains(number));
        forgotten
    }
}

/// The disk as FUSE calls it.
struct Mounted(Arc<Mutex<Disk>>);

fn locked(disk: &Mutex<Disk>) -> MutexGuard<'_, Disk> {
    disk.lock().unwrap()
}

fn entry(found: Result<FileAttr, Errno>, reply: ReplyEntry) {
    match found {
        Ok(attributes) => reply.entry(&TTL, &attributes, Generation(0)),
        Err(error) => reply.error(error),
    }
}

fn done(result: Result<(), Errno>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

impl Filesystem for Mounted {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let disk = locked(&self.0);
        entry(disk.find(parent, name).and_then(|number| disk.attributes(number)), reply);
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match locked(&self.0).attributes(ino.0) {
            Ok(attributes) => reply.attr(&TTL, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut disk = locked(&self.0);
        let sized = size.map_or(Ok(()), |size| disk.file(ino).map(|bytes| bytes.set_len(size)));
        match sized.and_then(|()| disk.attributes(ino.0)) {
            Ok(attributes) => reply.attr(&TTL, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, _: u32, _: u32, reply: ReplyEntry) {
        entry(locked(&self.0).create(parent, name, Content::Folder(Names::default())), reply);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(locked(&self.0).remove(parent, name), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(locked(&self.0).remove(parent, name), reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        _: RenameFlags,
        reply: ReplyEmpty,
    ) {
        done(locked(&self.0).rename((parent, name), (newparent, newname)), reply);
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::empty());
    }

    fn create(&self, _: &Request, parent: INodeNo, name: &OsStr, _: u32, _: u32, _: i32, reply: ReplyCreate) {
        match locked(&self.0).create(parent, name, Content::File(Bytes::default())) {
            Ok(attributes) => {
                reply.created(&TTL, &attributes, Generation(0), FileHandle(0), FopenFlags::empty());
            }
            Err(error) => reply.error(error),
        }
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match locked(&self.0).nodes.get(&ino.0).map(|node| &node.content) {
            Some(Content::File(bytes)) => {
                let end = bytes.now.len().min(offset as usize + size as usize);
                reply.data(bytes.now.get(offset as usize..end).unwrap_or_default());
            }
            _ => reply.error(Errno::EISDIR),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match locked(&self.0).file(ino) {
            Ok(bytes) => {
                bytes.write(offset, data);
                reply.written(data.len() as u32);
            }
            Err(error) => reply.error(error),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        // A closed file is not a flushed one.
        reply.ok();
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        done(locked(&self.0).flush(ino), reply);
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        done(locked(&self.0).flush(ino), reply);
    }

    fn readdir(&self, _: &Request, ino: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let disk = locked(&self.0);
        let Some(Content::Folder(names)) = disk.nodes.get(&ino.0).map(|node| &node.content) else {
            return reply.error(Errno::ENOTDIR);
        };
        for (at, (name, number)) in names.now.iter().enumerate().skip(offset as usize) {
            let kind = match disk.attributes(*number) {
                Ok(attributes) => attributes.kind,
                Err(error) => return reply.error(error),
            };
            if reply.add(INodeNo(*number), at as u64 + 1, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let blocks = DISK_BYTES / u64::from(BLOCK);
        reply.statfs(blocks, blocks, blocks, 1 << 20, 1 << 20, BLOCK, 255, BLOCK);
    }
}
