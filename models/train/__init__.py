"""Training: a network learns from annotated photographs, from a teacher network on any photographs, or from both.

    data = read_photographs([Path("coco/train2017")], [Path("coco/annotations/person_keypoints_train2017.json")])
    train(network, spec, data, TrainSettings(minutes=90), teacher=Teacher(network, preprocessing))

`photographs` (what there is to learn from), `augmentation` (views of it) and `targets` are NumPy alone; `samples` makes
batches of them; `losses`, `hints`, `optimise`, `average` and `checkpoint` are what `loop.train` is made of. Pruning
plugs in as a `constraint`. `python -m models.train` is `__main__`.
"""
