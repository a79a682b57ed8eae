"""What `image:` names, and what a container is made from it. Layers on disk are storage's business."""
