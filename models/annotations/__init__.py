"""People annotated in photographs: COCO's keypoint files read by one rule, for evaluation, training and pruning."""
