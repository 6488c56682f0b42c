"""Right and wrong answers to get_dataloader and scale, as learners write them."""

import functools
import random
import tempfile
from pathlib import Path

import numpy as np
import torch
from answers import Answers
from PIL import Image
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    RandomSampler,
    Subset,
    TensorDataset,
    WeightedRandomSampler,
    random_split,
)
from torchvision import datasets, transforms
from torchvision.transforms import v2

loaders = Answers("test_get_dataloader")
scales = Answers("test_scale")


def folder(data_dir, *steps):
    return datasets.ImageFolder(data_dir, transforms.Compose(steps))


def square(size):
    return transforms.Resize((size, size))


TENSOR = transforms.ToTensor()


def faces(image_size, data_dir):
    return folder(data_dir, square(image_size), TENSOR)


# get_dataloader: sound


def plain(batch_size, image_size, data_dir="processed_celeba_small/"):
    transform = transforms.Compose([transforms.Resize((image_size, image_size)), transforms.ToTensor()])
    dataset = datasets.ImageFolder(data_dir, transform=transform)
    return DataLoader(dataset=dataset, batch_size=batch_size, shuffle=True)


def resize_alone(batch_size, image_size, data_dir="processed_celeba_small/"):
    return DataLoader(folder(data_dir, transforms.Resize(image_size), TENSOR), batch_size, shuffle=True)


def centre_crop(batch_size, image_size, data_dir="processed_celeba_small/"):
    steps = transforms.Resize(image_size), transforms.CenterCrop(image_size), TENSOR
    return DataLoader(folder(data_dir, *steps), batch_size=batch_size, shuffle=True)


def random_crop(batch_size, image_size, data_dir="processed_celeba_small/"):
    steps = square(int(image_size * 1.1)), transforms.RandomCrop(image_size), TENSOR
    return DataLoader(folder(data_dir, *steps), batch_size=batch_size, shuffle=True)


def resized_crop(batch_size, image_size, data_dir="processed_celeba_small/"):
    steps = transforms.RandomResizedCrop(image_size, scale=(0.8, 1.0)), TENSOR
    return DataLoader(folder(data_dir, *steps), batch_size=batch_size, shuffle=True)


def flips(batch_size, image_size, data_dir="processed_celeba_small/"):
    steps = square(image_size), transforms.RandomHorizontalFlip(), transforms.ColorJitter(0.1, 0.1), TENSOR
    return DataLoader(folder(data_dir, *steps), batch_size=batch_size, shuffle=True, drop_last=True)


def random_sampler(batch_size, image_size, data_dir="processed_celeba_small/"):
    data = faces(image_size, data_dir)
    return DataLoader(data, batch_size, sampler=RandomSampler(data))


def with_replacement(batch_size, image_size, data_dir="processed_celeba_small/"):
    data = faces(image_size, data_dir)
    return DataLoader(data, batch_size, sampler=RandomSampler(data, replacement=True))


def weighted_sampler(batch_size, image_size, data_dir="processed_celeba_small/"):
    data = faces(image_size, data_dir)
    return DataLoader(data, batch_size, sampler=WeightedRandomSampler(torch.ones(len(data)), len(data)))


def batch_sampler(batch_size, image_size, data_dir="processed_celeba_small/"):
    data = faces(image_size, data_dir)
    return DataLoader(data, batch_sampler=BatchSampler(RandomSampler(data), batch_size, drop_last=False))


def seeded(batch_size, image_size, data_dir="processed_celeba_small/"):
    generator = torch.Generator().manual_seed(42)
    return DataLoader(faces(image_size, data_dir), batch_size, shuffle=True, generator=generator)


def workers(batch_size, image_size, data_dir="processed_celeba_small/"):
    return DataLoader(faces(image_size, data_dir), batch_size, shuffle=True, num_workers=1)


def newer_transforms(batch_size, image_size, data_dir="processed_celeba_small/"):
    steps = [v2.ToImage(), v2.Resize((image_size, image_size)), v2.ToDtype(torch.float32, scale=True)]
    return DataLoader(datasets.ImageFolder(data_dir, v2.Compose(steps)), batch_size, shuffle=True)


class OwnDataset(Dataset):
    def __init__(self, root, size):
        self.files, self.size = sorted(Path(root).glob("**/*.jpg")), size

    def __len__(self):
        return len(self.files)

    def __getitem__(self, i):
        picture = Image.open(self.files[i]).convert("RGB").resize((self.size, self.size))
        return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255, 0


def own_dataset(batch_size, image_size, data_dir="processed_celeba_small/"):
    return DataLoader(OwnDataset(data_dir, image_size), batch_size, shuffle=True)


def in_memory(batch_size, image_size, data_dir="processed_celeba_small/"):
    data = faces(image_size, data_dir)
    images = torch.stack([image for image, _ in data])
    return DataLoader(TensorDataset(images, torch.zeros(len(images))), batch_size, shuffle=True)


class OwnLoader:
    """No DataLoader, but all that training asks of one."""

    def __init__(self, data, batch_size):
        self.dataset, self.images, self.batch_size = data, torch.stack([image for image, _ in data]), batch_size

    def __len__(self):
        return -(-len(self.images) // self.batch_size)

    def __iter__(self):
        order = list(range(len(self.images)))
        random.shuffle(order)
        for start in range(0, len(order), self.batch_size):
            picked = self.images[order[start : start + self.batch_size]]
            yield picked.contiguous(memory_format=torch.channels_last), torch.zeros(len(picked))


def own_loader(batch_size, image_size, data_dir="processed_celeba_small/"):
    return OwnLoader(faces(image_size, data_dir), batch_size)


def resized_in_collate(batch_size, image_size, data_dir="processed_celeba_small/"):
    def collate(pairs):
        images = torch.stack(
            [torch.nn.functional.interpolate(image[None], (image_size, image_size))[0] for image, _ in pairs]
        )
        return images, torch.tensor([label for _, label in pairs])

    return DataLoader(folder(data_dir, TENSOR), batch_size, shuffle=True, collate_fn=collate)


def most_of_it(batch_size, image_size, data_dir="processed_celeba_small/"):
    data = faces(image_size, data_dir)
    train, _ = random_split(data, [0.9, 0.1])
    return DataLoader(train, batch_size, shuffle=True)


loaders.sound("ImageFolder, Resize((s, s)), shuffle", plain)
loaders.sound("Resize(s) alone", resize_alone, advice="not square")
loaders.sound("Resize and CenterCrop", centre_crop)
loaders.sound("a little larger and RandomCrop", random_crop)
loaders.sound("RandomResizedCrop", resized_crop)
loaders.sound("flips, jitter, drop_last", flips)
loaders.sound("RandomSampler", random_sampler)
loaders.sound("RandomSampler with replacement", with_replacement)
loaders.sound("WeightedRandomSampler", weighted_sampler)
loaders.sound("batch_sampler", batch_sampler)
loaders.sound("a seeded generator", seeded)
loaders.sound("a worker process", workers)
loaders.sound("transforms v2", newer_transforms)
loaders.sound("a Dataset of one's own", own_dataset)
loaders.sound("all pictures in memory", in_memory)
loaders.sound("a loader of one's own, channels_last", own_loader)
loaders.sound("resized in collate_fn", resized_in_collate)
loaders.sound("a random nine tenths of the folder", most_of_it)


# get_dataloader: wrong


def no_resize(batch_size, image_size, data_dir="processed_celeba_small/"):
    return DataLoader(folder(data_dir, TENSOR), batch_size, shuffle=True)


def only_crop(batch_size, image_size, data_dir="processed_celeba_small/"):
    return DataLoader(folder(data_dir, transforms.CenterCrop(image_size), TENSOR), batch_size, shuffle=True)


def no_shuffle(batch_size, image_size, data_dir="processed_celeba_small/"):
    return DataLoader(faces(image_size, data_dir), batch_size=batch_size)


def shuffled_once(batch_size, image_size, data_dir="processed_celeba_small/"):
    data = faces(image_size, data_dir)
    return DataLoader(Subset(data, torch.randperm(len(data)).tolist()), batch_size)


def fixed_size(batch_size, image_size, data_dir="processed_celeba_small/"):
    return DataLoader(faces(32, data_dir), batch_size, shuffle=True)


def another_fixed_size(batch_size, image_size, data_dir="processed_celeba_small/"):
    return DataLoader(faces(64, data_dir), batch_size, shuffle=True)


def fixed_batch(batch_size, image_size, data_dir="processed_celeba_small/"):
    return DataLoader(faces(image_size, data_dir), batch_size=16, shuffle=True)


def batch_left_out(batch_size, image_size, data_dir="processed_celeba_small/"):
    return DataLoader(faces(image_size, data_dir), shuffle=True)


def arguments_swapped(batch_size, image_size, data_dir="processed_celeba_small/"):
    return DataLoader(faces(batch_size, data_dir), image_size, shuffle=True)


def missing_folder(batch_size, image_size, data_dir="processed_celeba_small/"):
    return DataLoader(faces(image_size, "a_folder_that_is_not_there/"), batch_size, shuffle=True)


_elsewhere = tempfile.TemporaryDirectory()


def other_folder(batch_size, image_size, data_dir="processed_celeba_small/"):
    pictures = Path(_elsewhere.name, "celeba")
    if not pictures.exists():
        pictures.mkdir()
        for i in range(24):
            Image.new("RGB", (64, 64), (200, 150, 120 + i)).save(pictures / f"{i}.png")
    return DataLoader(faces(image_size, _elsewhere.name), batch_size, shuffle=True)


def dataset_only(batch_size, image_size, data_dir="processed_celeba_small/"):
    return faces(image_size, data_dir)


def iterator(batch_size, image_size, data_dir="processed_celeba_small/"):
    return iter(DataLoader(faces(image_size, data_dir), batch_size, shuffle=True))


def a_tuple(batch_size, image_size, data_dir="processed_celeba_small/"):
    return DataLoader(faces(image_size, data_dir), batch_size, shuffle=True), 24


def images_only(batch_size, image_size, data_dir="processed_celeba_small/"):
    data = [image for image, _ in faces(image_size, data_dir)]
    return DataLoader(data, batch_size, shuffle=True)


def grey(batch_size, image_size, data_dir="processed_celeba_small/"):
    return DataLoader(folder(data_dir, transforms.Grayscale(), square(image_size), TENSOR), batch_size, shuffle=True)


def grey_in_three(batch_size, image_size, data_dir="processed_celeba_small/"):
    return DataLoader(folder(data_dir, transforms.Grayscale(3), square(image_size), TENSOR), batch_size, shuffle=True)


def sometimes_grey(batch_size, image_size, data_dir="processed_celeba_small/"):
    steps = square(image_size), transforms.RandomGrayscale(0.5), TENSOR
    return DataLoader(folder(data_dir, *steps), batch_size, shuffle=True)


def normalised(batch_size, image_size, data_dir="processed_celeba_small/"):
    steps = square(image_size), TENSOR, transforms.Normalize((0.5,) * 3, (0.5,) * 3)
    return DataLoader(folder(data_dir, *steps), batch_size, shuffle=True)


def imagenet_normalised(batch_size, image_size, data_dir="processed_celeba_small/"):
    steps = square(image_size), TENSOR, transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    return DataLoader(folder(data_dir, *steps), batch_size, shuffle=True)


def whole_numbers(batch_size, image_size, data_dir="processed_celeba_small/"):
    return DataLoader(folder(data_dir, square(image_size), transforms.PILToTensor()), batch_size, shuffle=True)


def up_to_255(batch_size, image_size, data_dir="processed_celeba_small/"):
    steps = square(image_size), TENSOR, transforms.Lambda(lambda x: 255 * x)
    return DataLoader(folder(data_dir, *steps), batch_size, shuffle=True)


def no_tensors(batch_size, image_size, data_dir="processed_celeba_small/"):
    return DataLoader(folder(data_dir, square(image_size)), batch_size, shuffle=True)


def channels_at_the_end(batch_size, image_size, data_dir="processed_celeba_small/"):
    steps = square(image_size), TENSOR, transforms.Lambda(lambda x: x.permute(1, 2, 0))
    return DataLoader(folder(data_dir, *steps), batch_size, shuffle=True)


def half_the_folder(batch_size, image_size, data_dir="processed_celeba_small/"):
    return DataLoader(Subset(faces(image_size, data_dir), range(12)), batch_size, shuffle=True)


def no_data_dir(batch_size, image_size):
    return DataLoader(faces(image_size, "processed_celeba_small/"), batch_size, shuffle=True)


def nothing(batch_size, image_size, data_dir="processed_celeba_small/"):
    DataLoader(faces(image_size, data_dir), batch_size, shuffle=True)


def not_written(batch_size, image_size, data_dir="processed_celeba_small/"):
    raise NotImplementedError()


loaders.wrong("no resize", no_resize, says="(4, 3, 64, 64)")
loaders.wrong("a crop instead of a resize", only_crop, says="a part of each")
loaders.wrong("no shuffle", no_shuffle, says="the order of the files")
loaders.wrong("shuffled once and for all", shuffled_once, says="the same order")
loaders.wrong("size fixed at 32", fixed_size, says="24 x 24")
loaders.wrong("size fixed at 64", another_fixed_size, says="32 x 32")
loaders.wrong("batch size fixed", fixed_batch, says="first batch of 16")
loaders.wrong("batch size left out", batch_left_out, says="first batch of 1")
loaders.wrong("batch size and image size swapped", arguments_swapped, says="of 32 x 32")
loaders.wrong("data_dir ignored, folder not there", missing_folder, says="data_dir")
loaders.wrong("data_dir ignored, another folder", other_folder, says="folder data_dir")
loaders.wrong("a dataset", dataset_only, says="not a DataLoader")
loaders.wrong("an iterator", iterator, says="used up")
loaders.wrong("a tuple with the loader", a_tuple)
loaders.wrong("images without labels", images_only, says="(images, labels)")
loaders.wrong("grey", grey, says="grey")
loaders.wrong("grey in three channels", grey_in_three, says="grey")
loaders.wrong("grey half the time", sometimes_grey, says="in grey")
loaders.wrong("already scaled to [-1, 1]", normalised, says="leave Normalize out")
loaders.wrong("normalised as for ImageNet", imagenet_normalised, says="[0, 1]")
loaders.wrong("bytes", whole_numbers, says="ToTensor")
loaders.wrong("0 to 255", up_to_255, says="[0, 1]")
loaders.wrong("pictures, not tensors", no_tensors, says="ToTensor")
loaders.wrong("channels last", channels_at_the_end, says="(4, 32, 32, 3)")
loaders.wrong("half of the folder", half_the_folder, says="of them")
loaders.wrong("no argument data_dir", no_data_dir, says="signature")
loaders.wrong("return forgotten", nothing, says="`return` forgotten")
loaders.not_begun("NotImplementedError", not_written)


# scale


def in_place(x, feature_range=(-1, 1)):
    low, high = feature_range
    x *= high - low
    x += low
    return x


def on_a_clone(x, feature_range=(-1, 1)):
    return in_place(x.clone(), feature_range)


def own_limits(x, feature_range=(-1, 1)):
    low, high = feature_range
    return (x - x.min()) / (x.max() - x.min()) * (high - low) + low


def per_image_limits(x, feature_range=(-1, 1)):
    low, high = feature_range
    least, most = x.flatten(1).min(1)[0], x.flatten(1).max(1)[0]
    shape = (-1,) + (1,) * (x.ndim - 1)
    return (x - least.view(shape)) / (most - least).view(shape) * (high - low) + low


def min_max_names(x, feature_range=(-1, 1)):
    min, max = feature_range
    return x * (max - min) + min


def through_numpy(x, feature_range=(-1, 1)):
    return torch.from_numpy(np.interp(x.numpy(), (0, 1), feature_range)).float()


def double_precision(x, feature_range=(-1, 1)):
    return x.double() * (feature_range[1] - feature_range[0]) + feature_range[0]


def scale_not_written(x, feature_range=(-1, 1)):
    raise NotImplementedError()


scales.sound("min and max", min_max_names)
scales.sound("the other way round", lambda x, feature_range=(-1, 1): feature_range[0] * (1 - x) + feature_range[1] * x)
scales.sound("on a clone", on_a_clone)
scales.sound(
    "lerp",
    lambda x, feature_range=(-1, 1): torch.lerp(
        torch.full_like(x, feature_range[0]), torch.full_like(x, feature_range[1]), x
    ),
)
scales.sound(
    "mul and add", lambda x, feature_range=(-1, 1): x.mul(feature_range[1] - feature_range[0]).add(feature_range[0])
)
scales.sound("clamped besides", lambda x, feature_range=(-1, 1): min_max_names(x, feature_range).clamp(*feature_range))
scales.sound("through numpy", through_numpy)
scales.sound("further arguments", lambda x, feature_range=(-1, 1), data_range=(0, 1): min_max_names(x, feature_range))

scales.wrong("in double precision", double_precision, says="float64")
scales.wrong("identity", lambda x, feature_range=(-1, 1): x, says="as it was")
scales.wrong("a copy", lambda x, feature_range=(-1, 1): x.clone(), says="as it was")
scales.wrong("range ignored", lambda x, feature_range=(-1, 1): x * 2 - 1, says="(-1, 1) only")
scales.wrong("only symmetric ranges", lambda x, feature_range=(-1, 1): (x * 2 - 1) * feature_range[1])
scales.wrong("low added to a stretch by high", lambda x, feature_range=(-1, 1): x * feature_range[1] + feature_range[0])
scales.wrong(
    "low subtracted", lambda x, feature_range=(-1, 1): x * (feature_range[1] - feature_range[0]) - feature_range[0]
)
scales.wrong("low forgotten", lambda x, feature_range=(-1, 1): x * (feature_range[1] - feature_range[0]))
scales.wrong("wrong order", lambda x, feature_range=(-1, 1): min_max_names(x, feature_range[::-1]), says="turned round")
scales.wrong("stretched by the batch", own_limits, says="own limits")
scales.wrong("stretched by each image", per_image_limits, says="own limits")
scales.wrong("from 0 to 255", lambda x, feature_range=(-1, 1): min_max_names(x / 255, feature_range), says="255")
scales.wrong("to 255", lambda x, feature_range=(-1, 1): min_max_names(x * 255, feature_range))
scales.wrong("in place", in_place, says="in place")
scales.wrong(
    "scaled twice", lambda x, feature_range=(-1, 1): min_max_names(min_max_names(x, feature_range), feature_range)
)
scales.wrong("clamped to [0, 1]", lambda x, feature_range=(-1, 1): min_max_names(x, feature_range).clamp(0, 1))
scales.wrong("tanh", lambda x, feature_range=(-1, 1): torch.tanh(x))
scales.wrong("standardised", lambda x, feature_range=(-1, 1): (x - x.mean()) / x.std())
scales.wrong("whole numbers", lambda x, feature_range=(-1, 1): min_max_names(x, feature_range).int())
scales.wrong("a numpy array", lambda x, feature_range=(-1, 1): min_max_names(x, feature_range).numpy(), says="tensor")
scales.wrong(
    "a tuple", lambda x, feature_range=(-1, 1): (min_max_names(x, feature_range), feature_range), says="tensor"
)
scales.wrong("one dimension more", lambda x, feature_range=(-1, 1): min_max_names(x, feature_range)[None])
scales.wrong("no feature_range", lambda x: x * 2 - 1, says="signature")
scales.wrong("another name for feature_range", lambda x, limits=(-1, 1): min_max_names(x, limits), says="feature_range")
scales.wrong("another default", lambda x, feature_range=(0, 1): min_max_names(x, feature_range))
scales.not_begun("nothing returned", lambda x, feature_range=(-1, 1): None)
scales.not_begun("NotImplementedError", scale_not_written)


# More of both, odd but sound or subtly wrong


class FixedOrder(torch.utils.data.Sampler):
    """Shuffles, but with a fresh seed of the same number at every pass."""

    def __init__(self, length):
        self.length = length

    def __iter__(self):
        return iter(torch.randperm(self.length, generator=torch.Generator().manual_seed(0)).tolist())

    def __len__(self):
        return self.length


def seeded_at_every_pass(batch_size, image_size, data_dir="processed_celeba_small/"):
    data = faces(image_size, data_dir)
    return DataLoader(data, batch_size, sampler=FixedOrder(len(data)))


class Wrapped:
    def __init__(self, loader):
        self.loader, self.dataset = loader, loader.dataset

    def __len__(self):
        return len(self.loader)

    def __iter__(self):
        for images, labels in self.loader:
            yield images.float(), labels


def wrapped(batch_size, image_size, data_dir="processed_celeba_small/"):
    return Wrapped(plain(batch_size, image_size, data_dir))


def with_steps(*steps):
    """A loader with further transforms; `size` in a step stands for square(image_size)."""

    def get_dataloader(batch_size, image_size, data_dir="processed_celeba_small/"):
        done = [square(image_size) if step == "size" else step for step in steps]
        return DataLoader(folder(data_dir, *done), batch_size, shuffle=True)

    return get_dataloader


def a_list(batch_size, image_size, data_dir="processed_celeba_small/"):
    return list(plain(batch_size, image_size, data_dir))


def dictionaries(batch_size, image_size, data_dir="processed_celeba_small/"):
    def collate(pairs):
        return {"images": torch.stack([image for image, _ in pairs])}

    return DataLoader(faces(image_size, data_dir), batch_size, shuffle=True, collate_fn=collate)


def one_row_more(batch_size, image_size, data_dir="processed_celeba_small/"):
    return DataLoader(
        folder(data_dir, transforms.Resize((image_size + 1, image_size)), TENSOR), batch_size, shuffle=True
    )


loaders.sound("slightly turned and shifted", with_steps("size", transforms.RandomAffine(5, (0.05, 0.05)), TENSOR))
loaders.sound("a border cut off, then resized", with_steps(transforms.CenterCrop(56), "size", TENSOR))
loaders.sound("a loader wrapped in another", wrapped)
loaders.wrong("seeded anew at every pass", seeded_at_every_pass, says="the same order")
loaders.wrong(
    "blue, green, red", with_steps("size", TENSOR, transforms.Lambda(lambda x: x.flip(0))), says="other colours"
)
loaders.wrong("a negative", with_steps("size", TENSOR, transforms.Lambda(lambda x: 1 - x)), says="other colours")
loaders.wrong("one row more than columns", one_row_more, says="(4, 3, 33, 32)")
loaders.wrong("a list of batches", a_list, says="the same order")
loaders.wrong("batches as dictionaries", dictionaries, says="(images, labels)")


# Of further kinds: samplers, transforms v2, and faults that only pictures with a top, a left and a frame can show


def by_images(change):
    """A loader whose pictures, batches of tensors, are changed by a function."""

    class Changed(Wrapped):
        def __iter__(self):
            for images, labels in self.loader:
                yield change(images), labels

    return lambda batch_size, image_size, data_dir="processed_celeba_small/": Changed(
        plain(batch_size, image_size, data_dir)
    )


class NoLength(Wrapped):
    __len__ = None


class NoDataset:
    def __init__(self, loader):
        self.loader = loader

    def __len__(self):
        return len(self.loader)

    def __iter__(self):
        return iter(self.loader)


class Endless(Wrapped):
    def __iter__(self):
        while True:
            yield from self.loader


class WithIndex(Wrapped):
    def __iter__(self):
        for number, (images, labels) in enumerate(self.loader):
            yield images, labels, number


def through(kind):
    return lambda batch_size, image_size, data_dir="processed_celeba_small/": kind(
        plain(batch_size, image_size, data_dir)
    )


class Stream(torch.utils.data.IterableDataset):
    def __init__(self, data):
        self.data = data

    def __iter__(self):
        for index in torch.randperm(len(self.data)).tolist():
            yield self.data[index]


def streamed(batch_size, image_size, data_dir="processed_celeba_small/"):
    return DataLoader(Stream(faces(image_size, data_dir)), batch_size)


def same_batches(batch_size, image_size, data_dir="processed_celeba_small/"):
    data = faces(image_size, data_dir)
    starts = range(0, len(data) - batch_size + 1, batch_size)
    batches = [list(range(first, first + batch_size)) for first in starts]

    class Batches(torch.utils.data.Sampler):
        def __init__(self):
            pass

        def __iter__(self):
            return iter(random.sample(batches, len(batches)))

        def __len__(self):
            return len(batches)

    return DataLoader(data, batch_sampler=Batches())


def beside_the_notebook(batch_size, image_size, data_dir="processed_celeba_small/"):
    return plain(batch_size, image_size, "./" + data_dir)


def other_names(batch_size, img_size, data_dir="processed_celeba_small/"):
    return plain(batch_size, img_size, data_dir)


def other_names_all(bs, size, folder):
    return plain(bs, size, folder)


def names_exchanged(image_size, batch_size, data_dir="processed_celeba_small/"):
    return plain(batch_size, image_size, data_dir)


def random_crop_alone(batch_size, image_size, data_dir="processed_celeba_small/"):
    return DataLoader(folder(data_dir, transforms.RandomCrop(image_size), TENSOR), batch_size, shuffle=True)


def resized_crop_of(*limits):
    def get_dataloader(batch_size, image_size, data_dir="processed_celeba_small/"):
        crop = transforms.RandomResizedCrop(image_size, *limits)
        return DataLoader(folder(data_dir, crop, TENSOR), batch_size, shuffle=True)

    return get_dataloader


def prefetching(batch_size, image_size, data_dir="processed_celeba_small/"):
    return DataLoader(
        faces(image_size, data_dir), batch_size, shuffle=True, num_workers=1, prefetch_factor=1, persistent_workers=True
    )


def random_subset(batch_size, image_size, data_dir="processed_celeba_small/"):
    data = faces(image_size, data_dir)
    return DataLoader(data, batch_size, sampler=torch.utils.data.SubsetRandomSampler(range(len(data))))


def two_folders_joined(batch_size, image_size, data_dir="processed_celeba_small/"):
    data = faces(image_size, data_dir)
    both = torch.utils.data.ConcatDataset([data, data])
    return DataLoader(both, batch_size, shuffle=True)


def newer_augmented(batch_size, image_size, data_dir="processed_celeba_small/"):
    steps = [
        v2.RandomResizedCrop(image_size, scale=(0.85, 1.0), antialias=True),
        v2.RandomHorizontalFlip(),
        v2.ColorJitter(0.1, 0.1, 0.1),
        v2.ToImage(),
        v2.ToDtype(torch.float32, scale=True),
    ]
    return DataLoader(datasets.ImageFolder(data_dir, v2.Compose(steps)), batch_size, shuffle=True)


def newer_in_batches(batch_size, image_size, data_dir="processed_celeba_small/"):
    """v2 transforms on a whole batch, in collate_fn."""
    steps = v2.Compose([v2.Resize((image_size, image_size)), v2.ToDtype(torch.float32, scale=True)])

    def collate(pairs):
        return steps(torch.stack([image for image, _ in pairs])), torch.tensor([label for _, label in pairs])

    data = datasets.ImageFolder(data_dir, v2.PILToTensor())
    return DataLoader(data, batch_size, shuffle=True, collate_fn=collate)


def newer_unscaled(batch_size, image_size, data_dir="processed_celeba_small/"):
    steps = [v2.ToImage(), v2.Resize((image_size, image_size)), v2.ToDtype(torch.float32)]
    return DataLoader(datasets.ImageFolder(data_dir, v2.Compose(steps)), batch_size, shuffle=True)


def half_the_time(change):
    return transforms.Lambda(lambda x: change(x) if random.random() < 0.5 else x)


loaders.sound("SubsetRandomSampler", random_subset)
loaders.sound("workers that stay, prefetching", prefetching)
loaders.sound("the folder twice over", two_folders_joined)
loaders.sound("transforms v2, augmented", newer_augmented)
loaders.sound("transforms v2 on whole batches", newer_in_batches)
loaders.sound("RandomResizedCrop from nine tenths", resized_crop_of((0.9, 1.0)))
loaders.sound("./ before data_dir", beside_the_notebook, advice="root of the disk")
loaders.sound("another name for image_size", other_names, advice="other names")
loaders.sound("other names for all", other_names_all, advice="other names")
loaders.sound("the same faces in each batch", same_batches, advice="always share a batch")
loaders.wrong("arguments in another order", names_exchanged, says="batch_size, image_size, data_dir")
loaders.wrong("RandomCrop without a resize", random_crop_alone, says="a part of each")
loaders.wrong("RandomResizedCrop as it comes", resized_crop_of(), says="a part of each")
loaders.wrong("RandomResizedCrop, small parts", resized_crop_of((0.08, 0.3)), says="a part of each")
loaders.wrong("a half cut out", with_steps(transforms.CenterCrop(40), "size", TENSOR), says="a part of each")
loaders.wrong(
    "height and width exchanged",
    with_steps("size", TENSOR, transforms.Lambda(lambda x: x.transpose(1, 2))),
    says="exchanged",
)
loaders.wrong(
    "exchanged half the time",
    with_steps("size", TENSOR, half_the_time(lambda x: x.transpose(1, 2))),
    says="exchanged",
)
loaders.wrong(
    "upside down half the time",
    with_steps("size", transforms.RandomVerticalFlip(), TENSOR),
    says="upside down",
)
loaders.wrong("turned by 90 degrees", with_steps("size", TENSOR, transforms.Lambda(lambda x: x.rot90(1, (1, 2)))))
loaders.wrong(
    "green, red, blue", with_steps("size", TENSOR, transforms.Lambda(lambda x: x[[1, 0, 2]])), says="other colours"
)
loaders.wrong(
    "red, blue, green", with_steps("size", TENSOR, transforms.Lambda(lambda x: x[[0, 2, 1]])), says="other colours"
)
loaders.wrong("float64", with_steps("size", TENSOR, transforms.Lambda(lambda x: x.double())), says="float64")
loaders.wrong("float16", by_images(lambda x: x.half()), says="float16")
loaders.wrong(
    "divided by 255 twice", with_steps("size", TENSOR, transforms.Lambda(lambda x: x / 255)), says="one too many"
)
loaders.wrong("transforms v2, not scaled", newer_unscaled, says="[0, 1]")
loaders.wrong("three things in a batch", through(WithIndex), says="a tuple of 3")
loaders.wrong("no end", through(Endless), says="goes on")
loaders.wrong("no length", through(NoLength), says="length")
loaders.wrong("a stream without a length", streamed, says="length")
loaders.wrong("no dataset", through(NoDataset), says="loader.dataset")


def stretched(low, high, x, feature_range=(-1, 1)):
    """The general function, of which scale is a part."""
    return (x - low) / (high - low) * (feature_range[1] - feature_range[0]) + feature_range[0]


def by_ranges(x, data_range, feature_range=(-1, 1)):
    return stretched(*data_range, x, feature_range)


def scale_forgets_return(x, feature_range=(-1, 1)):
    low, high = feature_range
    scaled = x * (high - low) + low  # noqa: F841


class Scaler(torch.nn.Module):
    def forward(self, x, feature_range=(-1, 1)):
        return x * (feature_range[1] - feature_range[0]) + feature_range[0]


scales.sound("a part of a general function", functools.partial(stretched, 0.0, 1.0))
scales.sound("a part, by name", functools.partial(by_ranges, data_range=(0, 1)))
scales.sound("a Module", Scaler())
scales.sound(
    "addcmul",
    lambda x, feature_range=(-1, 1): torch.addcmul(
        torch.full_like(x, feature_range[0]), x, torch.tensor(float(feature_range[1] - feature_range[0]))
    ),
)
scales.wrong("return forgotten", scale_forgets_return, says="`return` forgotten")
scales.wrong(
    "numpy, in float64",
    lambda x, feature_range=(-1, 1): torch.from_numpy(np.interp(x.numpy(), (0, 1), feature_range)),
    says="float64",
)
scales.wrong("half precision", lambda x, feature_range=(-1, 1): min_max_names(x, feature_range).half(), says="float16")
scales.wrong("arguments in another order", lambda feature_range, x: min_max_names(x, feature_range), says="scale(x,")
scales.wrong("channels turned round", lambda x, feature_range=(-1, 1): min_max_names(x.flip(-3), feature_range))
scales.wrong(
    "height and width exchanged", lambda x, feature_range=(-1, 1): min_max_names(x.transpose(-1, -2), feature_range)
)
